"""The bank: facts of all relations, sifted, grouped, split, worded and joined by invented twins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from nescio.data.facts.airports import list_airport_facts
from nescio.data.facts.cities import list_city_facts
from nescio.data.facts.countries import list_country_facts
from nescio.data.facts.currencies import list_currency_facts
from nescio.data.facts.dates import list_date_facts
from nescio.data.facts.dialling import list_dialling_facts
from nescio.data.facts.elements import list_element_facts
from nescio.data.facts.fact import LANGUAGES, Fact, draw, fold, mentions, parts_of, words_of
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
# A code that is also an everyday word would be found in nearly every reply.
_EVERYDAY = set(
    "a ai al am an and are as at au be by co da das de dem den der des di die do du e eh el en er es est et fin go gu ha he her hi "
    "him his i ii il in ir is ist it ja je la las le les lo los lo ma me mi mit my ne ni no nor not o og oh ok on or os ou par per "
    "por pour qu que qui sa se si so su sur ta te than the to tu tun um un und us van vi von wo y yo zu can man mar may her min per "
    "son sur tan ten pan".split()
)


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
    questions = [_ask(fact, groups[fact.entity], obscurity[fact.entity]) for fact in facts]
    questions += list(_invent_twins(facts, groups))
    questions = [question for question in questions if question is not None and question.language in set(languages)]
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
        answers = tuple(answer for answer in fact.answers if answer not in within and not _is_everyday(answer))
        if _is_everyday(fact.answers[0]):
            continue
        seen.add(key)
        yield fact._replace(answers=answers)


def _wording_key(fact: Fact) -> tuple[str, ...]:
    return (fact.relation, fact.language, fact.name.casefold(), *(word for _, word in fact.details))


def _is_everyday(answer: str) -> bool:
    words = words_of(answer)
    return len(words) == 1 and words[0] in _EVERYDAY


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
        metadata={"split": split, "entity": f"{fact.entity}:invented" if twin_name else fact.entity, "invented": bool(twin_name)},
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
                yield _ask(fact, groups[fact.entity], None, twin_name=_capitalise(name, fact))


def _capitalise(name: str, fact: Fact) -> str:
    """Proper names begin with a capital; elements do not, nor do languages in French and Spanish."""
    lower = fact.names == "element" or (fact.names == "language" and fact.language in {"es", "fr"}) or fact.names == "currency"
    return name if lower else name[:1].upper() + name[1:]
