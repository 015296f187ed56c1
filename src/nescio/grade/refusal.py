"""Whether a free-text reply refuses: by phrases, clause by clause, in six languages, without a model (docs/grading.md)."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from nescio.grade.aliases import match_aliases, read_gold
from nescio.grade.refusal_phrases import CUES, Cue, Role, phrases

RefusalState = Literal["refused", "answered", "undetermined"]

_HEAD_CHARS, _TAIL_CHARS = 4000, 1000
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ´`＇"), "'")
_QUOTATIONS = re.compile(
    r"\"[^\"]{1,300}\"|“[^”]{1,300}”|„[^“”]{1,300}[“”]|«[^»]{1,300}»|»[^«]{1,300}«|「[^」]{1,300}」|『[^』]{1,300}』|《[^》]{1,300}》"
    r"|(?<!\w)'[^']{1,300}(?:'\w[^']{1,300}){0,9}'(?!\w)"
)
_QUOTED = " ‹quoted› "
_BREAK = re.compile(
    # A stop or comma amid a number, a stop amid an abbreviation ("U.S.") and a hyphen divide nothing.
    r"\s*(?:(?<!\.[a-z])\.(?!\w)|\.$|(?<!\d)[,:]|[,:](?!\d)|[!?。;、()\[\]|¿¡…]|(?<!\S)-+(?!\S)|[–—])+\s*"
    # Not in "cannot help but think", "nothing but".
    r"|(?<!help)(?<!thing)(?<!one)(?<!all)\s(?=(?:but|though|although|however|pero|aunque|mais|aber|allerdings|obwohl)\b)"
    r"|(?=但是|但|不过|可是|所以|因此)"
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_ASKING_WITHOUT_A_QUESTION = re.compile(r"please|need|dep[eé]nd|请|取决|によ|kommt|お願い")
_PRONOUNS = re.compile(r"(?:i|it|that|so|yo|je|j'|il|ich|es|dass|que|我)?")
_SENTENCE_END = re.compile(r"[.!?。]")
_FRAGMENT_WORDS = 4
_ANNOUNCEMENT_CHARS = 80


class Refusal(NamedTuple):
    """Whether a reply refuses, and what says so."""

    state: RefusalState
    """`refused`: it gives no answer and says so, or asks back; `answered`: it gives one, however unsure or partial;
    `undetermined`: it is empty, breaks off before it does either, or says nothing."""
    reason: str
    """What matched, for a reader."""


class _Clause(NamedTuple):
    text: str
    before: str
    """The signs that stand before it."""
    after: str
    """The signs that stand behind it."""

    def has(self, role: Role | Cue) -> bool:
        """Whether a phrase of this role is in it."""
        return phrases(role).search(self.text) is not None

    @property
    def n_words(self) -> int:
        """Words; a script without spaces counts two signs as a word."""
        unspaced = len(_UNSPACED.findall(self.text))
        return unspaced // 2 if unspaced else len(self.text.split())


class _Cue(NamedTuple):
    name: Cue
    place: int
    """Which clause."""
    phrase: str
    """What matched."""
    end: int
    """Where it ends in the clause."""


def detect_refusal(reply: str, *, aliases: Sequence[str] = ()) -> Refusal:
    """Tell whether a reply refuses, answers, or does neither.

    The reply is read clause by clause without quotations. A clause with a phrase of refusal says that there is no answer;
    the other clauses decide whether one is given all the same. The language need not be given: English, Chinese, Spanish,
    French, German and Japanese are read at once. In another language, whatever has words counts as answered.

    Args:
        reply: What the model wrote. Of more than 5,000 characters only the first 4,000 and the last 1,000 are read.
        aliases: Known gold answers. A reply that asserts one outside a clause of refusal is answered, unless it takes the
            answer back. What a gold answer says of the question is not looked at.

    Returns:
        State and reason. The state does not depend on case or on the amount of white space.

    Examples:
        >>> detect_refusal("I'm not sure, but I think it is Paris.").state
        'answered'
        >>> detect_refusal("I don't know, but I'd be happy to help you look it up.")
        Refusal(state='refused', reason="ignorant: 'i don't know'")
    """
    clauses, cues = _read(reply)
    if not clauses:
        return Refusal("undetermined", "it holds no word")
    return (
        _judge_retraction(clauses, cues)
        or _judge_aliases(clauses, cues, aliases)
        or (_judge_refusal(clauses, cues) if cues else _judge_without_cue(clauses))
    )


@lru_cache(maxsize=2**16)
def find_refusal(reply: str, aliases: tuple[str, ...] = ()) -> Refusal | None:
    """The refusal that `detect_refusal` finds in a reply; None, and sooner, where it finds none."""
    if not _read(reply)[1]:
        return None
    refusal = detect_refusal(reply, aliases=aliases)
    return refusal if refusal.state == "refused" else None


@lru_cache(maxsize=4096)
def reads_as_refusal(aliases: tuple[str, ...]) -> tuple[str, ...]:
    """The gold answers among these that would be taken for refusals, such as the song "Don't Know Why"."""
    return tuple(alias for alias in aliases if find_refusal(alias) is not None)


def _read(reply: str) -> tuple[list[_Clause], list[_Cue]]:
    """Clauses with words in them, and the phrases of refusal among them."""
    clauses = _split(_drop_quotations(_fold(reply)))
    return clauses, [cue for place in range(len(clauses)) if (cue := _find_cue(clauses, place)) is not None]


def _fold(reply: str) -> str:
    text = " ".join(reply.split())
    if len(text) > _HEAD_CHARS + _TAIL_CHARS:
        # Without the words that the cuts tear.
        text = re.sub(r" \S{0,40}$", "", text[:_HEAD_CHARS]) + " … " + re.sub(r"^\S{0,40} ", "", text[-_TAIL_CHARS:])
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES).replace("…", " … ")).casefold()
    return " ".join(text.split())


def _drop_quotations(text: str) -> str:
    """Leave out what is quoted; a reply that is a quotation as a whole keeps its words."""
    left = _QUOTATIONS.sub(_QUOTED, text)
    rest = left.replace(_QUOTED.strip(), "")
    if sum(sign.isalnum() for sign in rest) and not phrases("filler").search(rest.strip(" .:!?。")):
        return left
    return re.sub(r"[\"“”„«»「」『』《》]|(?<!\w)'|'(?!\w)", " ", text)


def _split(text: str) -> list[_Clause]:
    breaks = list(_BREAK.finditer(text))
    starts = [0, *(match.end() for match in breaks)]
    ends = [*(match.start() for match in breaks), len(text)]
    signs = ["", *(match.group().strip() or "," for match in breaks), ""]
    pieces = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    clauses = [_Clause(piece, *around) for piece, around in zip(pieces, itertools.pairwise(signs), strict=True)]
    return [clause for clause in clauses if any(sign.isalnum() for sign in clause.text)]


def _find_cue(clauses: Sequence[_Clause], place: int) -> _Cue | None:
    clause = clauses[place]
    for name in CUES:
        match = phrases(name).search(clause.text)
        if match is None or _is_told_or_denied(clauses, place, match):
            continue
        if name == "asks back" and not _ends_as_question(clauses, clause) and not _ASKING_WITHOUT_A_QUESTION.search(clause.text):
            continue
        return _Cue(name, place, match.group().strip(), match.end())
    return None


def _is_told_or_denied(clauses: Sequence[_Clause], place: int, match: re.Match[str]) -> bool:
    """Whether the phrase is somebody else's ("he said that ...") or denied ("it is not that I don't know")."""
    text = clauses[place].text
    before, behind = text[: match.start()].rstrip() + " ", text[match.end() :]
    if phrases("denied").search(text) or phrases("denied after").search(behind):
        return True
    return phrases("reported before").search(before) is not None or phrases("reported after").search(behind) is not None


def _judge_retraction(clauses: Sequence[_Clause], cues: Sequence[_Cue]) -> Refusal | None:
    for place, clause in enumerate(clauses):
        match = phrases("retraction").search(clause.text)
        if place and match and any(cue.place >= place for cue in cues):
            return Refusal("refused", f"takes its answer back: '{match.group().strip()}'")
    return None


def _judge_aliases(clauses: Sequence[_Clause], cues: Sequence[_Cue], aliases: Sequence[str]) -> Refusal | None:
    if not aliases:
        return None
    # Where the gold answer itself reads like a refusal ("Don't Know Why", a song), its clause cannot be told from one.
    alike = any(phrases(name).search(_fold(alias)) for alias in aliases for name in CUES)
    silent = set() if alike else {cue.place for cue in cues}
    asserted = ". ".join(clause.text for place, clause in enumerate(clauses) if place not in silent)
    result = match_aliases(asserted, read_gold(aliases))
    return Refusal("answered", result.reason) if result is not None and result.verdict == "correct" else None


def _judge_refusal(clauses: Sequence[_Clause], cues: Sequence[_Cue]) -> Refusal:
    """Judge a reply that holds a phrase of refusal: it refuses unless another clause answers."""
    for cue in cues:
        if cue.name == "declines":
            return Refusal("refused", f"{cue.name}: '{cue.phrase}'")
    for place, clause in enumerate(clauses):
        if _is_answer(clauses, cues, place):
            return Refusal("answered", f"it says '{clause.text}' beside '{cues[0].phrase}'")
    cue = cues[-1]
    last = clauses[-1]
    if cue.place < len(clauses) - 1 and cue.name in {"doubts", "ignorant", "unknowable"} and _is_cut(clauses):
        return Refusal("undetermined", f"it breaks off after '{last.text}'")
    return Refusal("refused", f"{cues[0].name}: '{cues[0].phrase}'")


def _judge_without_cue(clauses: Sequence[_Clause]) -> Refusal:
    # What only opens a sentence ("According to the text, ...") says nothing where the rest breaks off.
    opens = [clause.after == "," and (clause.has("subordinate") or clause.has("setting")) for clause in clauses]
    opens[-1] = False
    said = [clause for clause, opening in zip(clauses, opens, strict=True) if not opening and not clause.has("filler")]
    if _is_cut(clauses) and said and said[-1] is clauses[-1]:
        said = said[:-1]
    if clauses[-1].after.endswith(":"):
        return Refusal("undetermined", f"it breaks off after '{clauses[-1].text}'")
    for clause in said:
        if clause.has("starts with question word") and _ends_as_question(clauses, clause):
            continue
        return Refusal("answered", f"it says '{clause.text}'")
    if _is_cut(clauses):
        return Refusal("undetermined", f"it breaks off after '{clauses[-1].text}'")
    return Refusal("undetermined", f"it says nothing but '{clauses[0].text}'")


def _ends_as_question(clauses: Sequence[_Clause], clause: _Clause) -> bool:
    """Whether the sentence that the clause stands in ends with a question mark."""
    for following in clauses[clauses.index(clause) :]:
        if _SENTENCE_END.search(following.after):
            return "?" in following.after
    return False


def _is_cut(clauses: Sequence[_Clause]) -> bool:
    """Whether the reply breaks off: no full stop, and a last word that needs another."""
    last = clauses[-1]
    if _SENTENCE_END.sub("", last.after) != last.after and "..." not in last.after and "…" not in last.after:
        return False
    if last.after.endswith(":"):
        return True
    return (len(clauses) > 1 or last.n_words > 1) and last.has("dangling")


def _is_answer(clauses: Sequence[_Clause], cues: Sequence[_Cue], place: int) -> bool:
    """Whether a clause answers beside the phrases of refusal in other clauses, or behind the one in its own."""
    clause = clauses[place]
    own = next((cue for cue in cues if cue.place == place), None)
    if own is not None:
        return _answers_behind(clause, own)
    if _is_empty(clauses, cues, place):
        return False
    earlier = [cue for cue in cues if cue.place < place]
    if not earlier:
        return _answers_ahead(clauses, cues, place)
    return _answers_after(clauses, earlier[-1], place)


def _answers_behind(clause: _Clause, cue: _Cue) -> bool:
    """Whether a guess follows in the cue's own clause: "no idea maybe Paris"."""
    rest = clause.text[cue.end :]
    guess = phrases("tentative").search(rest)
    if cue.name not in {"ignorant", "doubts"} or guess is None or len(rest.split()) > 2 * _FRAGMENT_WORDS:
        return False
    said = _UNSPACED.search(rest) or rest[guess.end() :].strip()
    return bool(said) and not phrases("question word").search(rest) and not phrases("dangling").search(rest)


def _is_empty(clauses: Sequence[_Clause], cues: Sequence[_Cue], place: int) -> bool:
    """Whether a clause holds nothing that could answer: courtesy, a pointer elsewhere, a condition, a reason, a torn end."""
    clause = clauses[place]
    if clause.has("filler") or clause.has("redirect") or clause.has("cause") or (place and clause.has("retraction")):
        return True
    if place == len(clauses) - 1 and _is_cut(clauses):
        return True
    beside = any(abs(cue.place - place) == 1 for cue in cues)
    subordinate = clause.has("subordinate") or (clause.has("starts with question word") and not clause.has("ends in contrast"))
    return (beside and subordinate and not clause.has("tentative")) or _is_bare_guess(clause)


def _is_bare_guess(clause: _Clause) -> bool:
    """Whether it is "I think" and no more."""
    rest = phrases("contrast").sub(" ", phrases("tentative").sub(" ", clause.text).strip())
    return rest != clause.text and _PRONOUNS.fullmatch(rest.strip()) is not None and clause.has("tentative")


def _answers_ahead(clauses: Sequence[_Clause], cues: Sequence[_Cue], place: int) -> bool:
    """Whether a clause ahead of the first phrase of refusal answers, and is not its reason or setting."""
    clause, cue = clauses[place], cues[0]
    between = clauses[place + 1 : cue.place + 1]
    if any(later.has("cause") for later in between) or any(c.has("ends in cause") for c in clauses[place : cue.place]):
        return False
    if clause.has("setting") and clause.after in {",", "、"} and not between[0].has("contrast") and cue.name != "doubts":
        return False
    if cue.name == "no such thing" and clause.n_words == 1:
        # "No, unicorns do not exist."
        return True
    if cue.name in {"asks back", "no such thing"}:
        return clause.has("tentative")
    return True


def _answers_after(clauses: Sequence[_Clause], cue: _Cue, place: int) -> bool:
    """Whether a clause behind a phrase of refusal answers."""
    clause, refusing = clauses[place], clauses[cue.place]
    linked = clauses[cue.place + 1 : place + 1]
    if any(later.has("cause") for later in linked) or refusing.has("ends in cause"):
        return False
    if clause.has("tentative"):
        return cue.name != "no such thing"
    contrast = any(later.has("contrast") for later in linked) or refusing.has("ends in contrast")
    new_sentence = any(_SENTENCE_END.search(later.before) or ";" in later.before for later in linked)
    guessed = clause.n_words <= _FRAGMENT_WORDS and "?" in clause.after
    on_the_point = contrast and not _has_question_object(clauses, cue)
    answers: dict[Cue, bool] = {
        "doubts": True,
        "asks back": not _ends_as_question(clauses, clause),
        "cannot": contrast or new_sentence,
        "ignorant": guessed or on_the_point,
        "misses information": on_the_point,
    }
    return answers.get(cue.name, False)


def _has_question_object(clauses: Sequence[_Clause], cue: _Cue) -> bool:
    """Whether the refusing clause says what is not known, as in "I don't know who wrote it": what follows is aside of it."""
    around = clauses[max(cue.place - 1, 0) : cue.place + 2]
    return clauses[cue.place].has("question word") or any(c.has("starts with question word") for c in around)
