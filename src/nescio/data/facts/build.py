"""The bank: facts of all relations, sifted, grouped, split, worded and joined by invented twins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from nescio.data.facts.airports import list_airport_facts
from nescio.data.facts.cities import list_city_facts
from nescio.data.facts.countries import list_country_facts
from nescio.data.facts.currencies import list_currency_facts
from nescio.data.facts.dates import list_date_facts
from nescio.data.facts.dialling import list_dialling_facts
from nescio.data.facts.elements import list_element_facts
from nescio.data.facts.fact import LANGUAGES, Fact, code_set, draw, fold, mentions, parts_of, words_of
from nescio.data.facts.grammar import inflect
from nescio.data.facts.groups import group_entities, split_of_group
from nescio.data.facts.invent import Inventor
from nescio.data.facts.languages import list_language_facts
from nescio.data.facts.packages import PACKAGES, load_package
from nescio.data.facts.relations import RELATIONS
from nescio.data.facts.sky import list_sky_facts
from nescio.data.facts.translations import list_translation_facts
from nescio.data.facts.united_states import list_state_facts
from nescio.data.facts.wording import WORDINGS, phrasings_of_split
from nescio.errors import ConfigError, describe_unknown
from nescio.records import Question

_SOURCES: tuple[Callable[[], Iterator[Fact]], ...] = (
    list_country_facts, list_language_facts, list_currency_facts, list_translation_facts, list_city_facts, list_state_facts,
    list_dialling_facts, list_airport_facts, list_element_facts, list_sky_facts, list_date_facts,
)  # fmt: skip
TWIN_SHARE = 0.1
"""Share of the entities that get an invented twin."""
# A code that is also an everyday word of the language would be found in nearly every reply.
_STOP_WORDS = {
    "en": code_set(
        "a am an and are as at be by can do for go he her hi his i if in is it man may me men my no nor not of oh "
        "ok on or our per she so the to up us was we you"
    ),
    "es": code_set(
        "a al ante con da de del e el en era es esa ese la las le les lo los me mi ni no o os para per por que se "
        "si sin son su te tu u un una va ve y ya"
    ),
    "fr": code_set(
        "a ai au aux ce ces ci car de des du elle en es est et eu il ils je la le les lui ma me mes mon ne ni nos "
        "on or ou par pas pour qu que qui sa se ses si son sur ta te tes ton tu un une va vu y"
    ),
    "de": code_set(
        "ab aber am an auf aus bei bin bis da das dem den der des die du ein er es hat ich ihr im in ins ist ja "
        "man mit nach nie nun nur ob oder sie so um und uns vom von vor war was wer wie wir zu zum zur"
    ),
    "zh": frozenset(),
    "ja": frozenset(),
}


def build_facts(*, languages: Sequence[str] = LANGUAGES, limit: int | None = None) -> list[Question]:
    """Build the question bank.

    The same versions of the packages give the same questions, in the same order.

    Args:
        languages: ISO 639-1 codes out of `LANGUAGES`. Splits and ids do not depend on them.
        limit: At most so many questions, drawn evenly from all.

    Returns:
        Questions sorted by relation, language and id.

    Raises:
        ConfigError: A package of the extra `facts` is missing, a language is unknown or the limit is below 1.
    """
    for language in languages:
        if language not in LANGUAGES:
            raise ConfigError(describe_unknown("language", language, LANGUAGES))
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit must be at least 1, got {limit}")
    for package in PACKAGES:
        load_package(package)
    facts = list(_sift([fact for source in _SOURCES for fact in source()]))
    groups = group_entities(facts)
    obscurity = rank_obscurity(facts)
    asked = {fact: _ask(fact, groups[fact.entity], obscurity[fact.entity]) for fact in facts}
    facts = [fact for fact in facts if asked[fact] is not None]
    wanted = set(languages)
    questions = [q for q in chain(asked.values(), _invent_twins(facts, groups)) if q is not None and q.language in wanted]
    order = {relation: i for i, relation in enumerate(RELATIONS)}
    questions.sort(key=lambda q: (order[q.relation], LANGUAGES.index(q.language), q.id))
    if limit is not None:
        kept = {q.id for q in sorted(questions, key=lambda q: draw(q.id, "limit"))[:limit]}
        questions = [question for question in questions if question.id in kept]
    return questions


def _sift(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Leave out what has no one defensible answer.

    That is: a question that fits several entities, an answer that is an everyday word, and an answer that stands within
    another entity's answer, so that a grader would take "South Sudan" for "Sudan".
    """
    asked: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for fact in facts:
        asked[_wording_key(fact)].add(fact.entity)
    longer = _find_longer_answers(facts)
    seen: set[tuple[str, ...]] = set()
    for fact in facts:
        key = _wording_key(fact)
        within = longer[fact.relation, fact.language]
        if not fact.answers or len(asked[key]) > 1 or key in seen or fact.answers[0] in within:
            continue
        answers = tuple(answer for answer in fact.answers if answer not in within and not _is_everyday(answer, fact.language))
        if _is_everyday(fact.answers[0], fact.language):
            continue
        seen.add(key)
        yield fact._replace(answers=answers)


def _wording_key(fact: Fact) -> tuple[str, ...]:
    return (fact.relation, fact.language, fact.name.casefold(), *(word for _, word in fact.details))


def _is_everyday(answer: str, language: str) -> bool:
    words = words_of(answer)
    return len(words) == 1 and words[0] in _STOP_WORDS[language]


def _find_longer_answers(facts: Sequence[Fact]) -> dict[tuple[str, str], set[str]]:
    """By relation and language, the answers that stand within the first answer of another entity."""
    holders: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for fact in facts:
        for part in parts_of(fact.answers[0]) if fact.answers else ():
            holders[fact.relation, fact.language, part].add(fact.answers[0])
    within: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for fact in facts:
        for answer in fact.answers:
            longer = holders.get((fact.relation, fact.language, " ".join(words_of(answer))), set())
            if longer - {fact.answers[0]}:
                within[fact.relation, fact.language].add(answer)
    return within


def rank_obscurity(facts: Iterable[Fact]) -> dict[str, float]:
    """Rank every entity among its kind by its measure.

    Returns:
        In [0, 1]: 0 for the best known of a kind, 1 for the least; entities of equal measure share the mean of their ranks.
    """
    kinds: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for fact in facts:
        kinds[fact.entity.split(":")[0]][fact.entity] = fact.measure
    ranks: dict[str, float] = {}
    for measures in kinds.values():
        counts = Counter(measures.values())
        better, place = 0, {}
        for measure in sorted(counts, reverse=True):
            place[measure] = better + (counts[measure] - 1) / 2
            better += counts[measure]
        ranks |= {entity: round(place[measure] / max(1, len(measures) - 1), 4) for entity, measure in measures.items()}
    return ranks


def _ask(fact: Fact, group: str, obscurity: float | None, *, twin_name: str | None = None) -> Question | None:
    """Word a fact; None where every phrasing of its split would give the answer away."""
    split = split_of_group(group)
    slots = _fill_slots(fact, twin_name or fact.name)
    positions = phrasings_of_split(fact.language, fact.relation, split)
    start = int(draw("\n".join(_wording_key(fact)), "phrasing") * len(positions))
    for position in positions[start:] + positions[:start]:
        text = WORDINGS[fact.language][fact.relation][position].format(**slots)
        if not any(mentions(text, answer) for answer in fact.answers):
            break
    else:
        return None
    details = "".join(f"-{fold(word)}" for slot, word in fact.details if slot in {"word", "tongue", "holiday"})
    identifier = f"{fact.relation}-{fact.language}-{fact.entity.split(':')[1]}{details}"
    return Question(
        id=f"{identifier}-invented" if twin_name else identifier,
        group=group,
        question=text,
        answers=() if twin_name else fact.answers,
        answerable=not twin_name,
        language=fact.language,
        relation=fact.relation,
        phrasing=f"{fact.relation}-{fact.language}-{position}",
        obscurity=obscurity,
        source="facts",
        metadata={
            "split": split,
            "entity": f"{fact.entity}:invented" if twin_name else fact.entity,
            "name": (twin_name or fact.name) if fact.names else None,
            "invented": bool(twin_name),
        },
    )


def _fill_slots(fact: Fact, name: str) -> dict[str, str]:
    slots = inflect(name, fact.language, fact.names) | dict(fact.details)
    for slot, word in fact.details:
        if slot == "country":
            slots["country"] = inflect(word, fact.language, "country").get("the", word)
    return slots | {slot.capitalize(): text[:1].upper() + text[1:] for slot, text in slots.items()}


def _invent_twins(facts: Sequence[Fact], groups: dict[str, str]) -> Iterator[Question | None]:
    """Questions on things that do not exist, each worded as its real twin is, in the same group."""
    named = {fact.entity for fact in facts if fact.names}
    chosen = {entity for entity in named if draw(entity, "twin") < TWIN_SHARE}
    inventor = Inventor(fact.name for fact in facts if fact.names)
    for fact in facts:
        if fact.entity in chosen and fact.names:
            name = inventor.invent(fact.entity, fact.names, fact.language)
            if name:
                yield _ask(fact, groups[fact.entity], None, twin_name=name)
