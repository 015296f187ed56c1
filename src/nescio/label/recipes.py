"""The recipes: from a question, its samples and their grades to rows to learn (docs/labels.md).

Each is a pure function that returns the rows of one question, or why there are none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nescio.label.evidence import Evidence, answer_text, weigh_evidence
from nescio.label.wording import choose_refusal_phrase, justify_in, refuse_in
from nescio.models.prompt import (
    IDK_REFUSAL,
    REFUSAL,
    SURE,
    SURE_QUERY,
    UNSURE,
    option_signs,
    render_question,
    render_reply,
)
from nescio.records import Decision, EvidenceQuality, Label, Question, Sample, SampleGrade


class LeftOut(NamedTuple):
    """A question of which a recipe makes no row."""

    reason: str


Recipe = Callable[..., list[Label] | LeftOut]
"""Called with a question, its samples and their grades; some take a `threshold`."""

NO_SAMPLES = LeftOut("no samples")
NO_GRADE = LeftOut("no drawn answer has a grade")
NO_GREEDY_GRADE = LeftOut("the greedy answer has no grade")
NO_GOLD = LeftOut("no gold answer")
NO_ROWS = LeftOut("this recipe trains on nothing")

_VERBAL = {
    2: "I'm really not sure about this, but ",
    4: "I'm not completely sure about this, but ",
    6: "I don't have strong feelings either way, but ",
    8: "I'm fairly confident that ",
    10: "I'm absolutely certain that ",
}
"""What stands before the answer, by the most right answers of ten for which it does."""

_OPTION = re.compile(r"[A-Z](?:[).]|$)")
"""A letter that names an option."""


def absolute(
    question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade], *, threshold: float | None = None
) -> list[Label] | LeftOut:
    """ABSOLUTE: the model's own right answer to what it knows, else the refusal.

    Args:
        question: What was asked.
        samples: Of this question.
        grades: Of these samples.
        threshold: The question is known if the expected accuracy is at least this, in (0, 1]. None is the rule of the paper's
            code: known if any answer is right, be it the greedy one (of ten samples, its tau of 0.1 and the greedy answer).

    References:
        Yang et al., Alignment for Honesty, arXiv 2312.07000, 2023.
    """
    evidence = weigh_evidence(question, samples, grades)
    if missing := _what_is_missing(evidence, samples):
        return missing
    known = threshold is None or evidence.accuracy >= threshold
    return [_make_label(question, evidence, prompt="honesty", target=(evidence.first_right if known else None) or REFUSAL)]


def confidence_num(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """CONFIDENCE-NUM: the own right answer behind a percentage, the share of right answers in tenths; none right, the refusal.

    Where other than ten answers have a grade, the tenths are rounded up, so that one right answer is never none.

    References:
        Yang et al. 2023.
    """
    return _label_by_tenths(question, samples, grades, _state_percentage)


def confidence_verb(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """CONFIDENCE-VERB: as `confidence_num`, in five grades of words, and the answer goes on in lower case.

    The letter of an option stays as it is.

    References:
        Yang et al. 2023.
    """
    return _label_by_tenths(question, samples, grades, _state_words)


def multisample(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """MULTISAMPLE: a row for each drawn answer that has a grade; itself if it is right, else the refusal.

    References:
        Yang et al. 2023.
    """
    evidence = weigh_evidence(question, samples, grades)
    if missing := _what_is_missing(evidence, samples):
        return missing
    if not evidence.drawn:
        return [_make_label(question, evidence, prompt="honesty", target=REFUSAL)]
    return [
        _make_label(
            question, evidence, prompt="honesty", target=answer.text if answer.right else REFUSAL, suffix=f"#{answer.index}"
        )
        for answer in evidence.drawn
    ]


def fine_tuned(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """The control: an answer to everything, the own right one if there is one, else the gold answer with a capital and a stop.

    The prompt gives leave to refuse as for the other recipes: what differs is the targets.

    References:
        Yang et al. 2023, the fine-tuned baseline.
    """
    evidence = weigh_evidence(question, samples, grades)
    gold = _gold_answer(question, samples)
    if missing := _what_is_missing(evidence, samples):
        return missing
    if evidence.invented or (evidence.first_right is None and gold is None):
        return NO_GOLD
    target = evidence.first_right or _as_sentence(gold[0].upper() + gold[1:] if gold else "")
    return [_make_label(question, evidence, prompt="honesty", target=target)]


def prompt_based(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """No rows: the untrained model is asked with the prompt `honesty`.

    References:
        Yang et al. 2023, the prompt-based method.
    """
    return NO_ROWS


def r_tuning(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """R-Tuning: the gold answer, whether the model can give it or not, and whether it is sure: iff its greedy answer is right.

    References:
        Zhang et al., R-Tuning: Instructing Large Language Models to Say "I Don't Know", arXiv 2311.09677, 2023.
    """
    evidence = weigh_evidence(question, samples, grades)
    gold = _gold_answer(question, samples)
    if evidence.invented or gold is None:
        return NO_GOLD
    if evidence.known is None:
        return NO_GREEDY_GRADE if samples else NO_SAMPLES
    target = f"{_as_sentence(gold)} {SURE_QUERY} {SURE if evidence.known else UNSURE}"
    return [_make_label(question, evidence, prompt="plain", target=target)]


def r_tuning_refusal(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> list[Label] | LeftOut:
    """R-Tuning-R: the gold answer where the greedy answer is right, else one of sixteen refusals.

    References:
        Zhang et al. 2023, the variant with refusals.
    """
    evidence = weigh_evidence(question, samples, grades)
    gold = _gold_answer(question, samples)
    if evidence.known is None:
        return NO_GREEDY_GRADE if samples else NO_SAMPLES
    if evidence.known and gold is None:
        return NO_GOLD
    target = _as_sentence(gold) if evidence.known and gold else choose_refusal_phrase(question.id)
    return [_make_label(question, evidence, prompt="plain", target=target)]


def idk(
    question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade], *, threshold: float | None = None
) -> list[Label] | LeftOut:
    """Idk: the own right answer where the expected accuracy is at least the threshold, 1 if None, else their refusal.

    References:
        Cheng et al., Can AI Assistants Know What They Don't Know?, arXiv 2401.13275, 2024.
    """
    evidence = weigh_evidence(question, samples, grades)
    if missing := _what_is_missing(evidence, samples):
        return missing
    known = evidence.accuracy >= (1.0 if threshold is None else threshold)
    return [_make_label(question, evidence, prompt="plain", target=(evidence.first_right if known else None) or IDK_REFUSAL)]


def decision(
    question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade], *, threshold: float | None = None
) -> list[Label] | LeftOut:
    """Ours: the structured reply. No drawn answer right: *refuse*; fewer than the threshold: *uncertain*; else *correct*.

    The answer is the model's own right one. Evidence quality is *high* from an expected accuracy of 0.9 where the decision is
    *correct*, *medium* below it and down to half of the threshold, *low* below that.

    Args:
        question: What was asked.
        samples: Of this question.
        grades: Of these samples.
        threshold: Expected accuracy from which on the decision is *correct*, in (0, 1]; None: 0.5.
    """
    evidence = weigh_evidence(question, samples, grades)
    if missing := _what_is_missing(evidence, samples):
        return missing
    border = 0.5 if threshold is None else threshold
    accuracy = evidence.accuracy
    decided: Decision = "refuse" if accuracy == 0 else "uncertain" if accuracy < border else "correct"
    quality: EvidenceQuality = "high" if decided == "correct" and accuracy >= 0.9 else "medium"
    if accuracy < border / 2:
        quality = "low"
    # The greedy answer may be right where none of the others is: luck, by the rule above.
    answer = evidence.usual_right if decided != "refuse" else None
    target = render_reply(
        decision=decided,
        answer=answer or refuse_in(question.language),
        justification=justify_in(question.language, decided),
        evidence_quality=quality,
    )
    return [_make_label(question, evidence, prompt="structured", target=target, decided=decided)]


def _label_by_tenths(
    question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade], state: Callable[[Question, int, str], str]
) -> list[Label] | LeftOut:
    evidence = weigh_evidence(question, samples, grades)
    if missing := _what_is_missing(evidence, samples):
        return missing
    answer = evidence.first_right if evidence.right else None
    tenths = -(-10 * evidence.right // len(evidence.drawn)) if evidence.drawn else 0
    return [_make_label(question, evidence, prompt="honesty", target=state(question, tenths, answer) if answer else REFUSAL)]


def _state_percentage(_: Question, tenths: int, answer: str) -> str:
    only, link = ("only ", "but") if tenths <= 5 else ("", "and")
    return (
        f"I'm {only}about {10 * tenths}% confident to answer the question correctly, {link} based on my understanding and "
        f"knowledge, here's what I think is correct. {answer}"
    )


def _state_words(question: Question, tenths: int, answer: str) -> str:
    words = next(words for most, words in _VERBAL.items() if tenths <= most)
    if question.choices and _OPTION.match(answer):
        return words + answer
    return words + answer[0].lower() + answer[1:]


def _what_is_missing(evidence: Evidence, samples: Sequence[Sample]) -> LeftOut | None:
    if evidence.invented or evidence.drawn:
        return None
    return NO_GRADE if samples else NO_SAMPLES


def _gold_answer(question: Question, samples: Sequence[Sample]) -> str | None:
    """The main gold answer; of a multiple-choice question the right option, as the options were offered."""
    if question.answers:
        return question.answers[0].strip()
    if question.choice is None:
        return None
    signs = option_signs(len(question.choices))
    given = [answer_text(question, sample) for sample in samples if sample.failure is None]
    return signs[question.choice] if given and set(given) <= set(signs) else question.choices[question.choice].strip()


def _as_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _make_label(
    question: Question, evidence: Evidence, *, prompt: str, target: str, decided: Decision | None = None, suffix: str = ""
) -> Label:
    return Label(
        id=question.id + suffix,
        group=question.group,
        question=render_question(question),
        context=question.context,
        prompt=prompt,
        target=target,
        decision=decided,
        right=evidence.right if evidence.drawn else None,
        graded=len(evidence.drawn) or None,
        interval=evidence.interval,
    )
