"""P(True) and its kin: the probability of one of two short replies to "is this answer right?".

Only the two replies are compared. What the rest of the vocabulary would get says how well the model keeps to the form, not how
sure it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from nescio.confidence.answers import AnswerSet, Estimate
from nescio.confidence.asked.wording import (
    AskSettings,
    Turn,
    build_request,
    find_fault,
    index_by_id,
    pair_with_questions,
    show_answer,
    show_question,
)
from nescio.errors import ConfigError
from nescio.models.engine import SampleRequest
from nescio.models.prompt import SURE, SURE_QUERY, UNSURE
from nescio.records import Question, Sample


class JudgeQuery(NamedTuple):
    """Something to ask about an answer that has two replies."""

    asked: str
    cue: str
    """What the reply stands behind in plain text."""
    right: str
    """The reply that says that the answer is right."""
    wrong: str


# The signs are no letters that name options of a multiple-choice question, and single ones, which is what servers tell.
TRUE_QUERY = JudgeQuery("Judge the proposed answer.\nT. It is true.\nF. It is false.", "Verdict:", "T", "F")
"""With signs to choose from, as in Kadavath et al. 2022."""
RIGHT_QUERY = JudgeQuery("Is the proposed answer right, yes or no?", "Verdict:", "yes", "no")
"""With words to choose from."""


def make_p_true_requests(
    questions: Sequence[Question], answers: Sequence[AnswerSet], settings: AskSettings, *, query: JudgeQuery = TRUE_QUERY
) -> list[SampleRequest]:
    """Ask whether each greedy answer is right, with nothing else shown: zero-shot P(True).

    Args:
        questions: Those of all answer sets.
        answers: Stored answers; nothing is asked about those that cannot be judged.
        settings: `style` is read.
        query: What is asked.

    Returns:
        One request for each answer that can be asked about, named by its question's id.

    Raises:
        DataError: An answer set's question is missing, or a question's id occurs twice.

    References:
        Kadavath et al., Language Models (Mostly) Know What They Know, arXiv 2207.05221, 2022, section 4.1. Words are ours; the
        two replies are renormalised against one another, and their likelihood is that of the whole reply, not of a token.
    """
    return [
        build_request(
            question.id, [_ask(show_question(question), _greedy(question, found), query)], style=settings.style, options=query[2:]
        )
        for question, found in pair_with_questions(questions, answers)
        if find_fault(found) is None
    ]


def make_few_shot_requests(
    questions: Sequence[Question], answers: Sequence[AnswerSet], settings: AskSettings
) -> list[SampleRequest]:
    """Ask as zero-shot P(True) does, behind worked examples with right and wrong answers.

    A question that is itself among the examples is asked without that one.

    Args:
        questions: Those of all answer sets.
        answers: Stored answers; nothing is asked about those that cannot be judged.
        settings: `style` and `shots` are read.

    Raises:
        ConfigError: There are not both right and wrong worked examples.
        DataError: An answer set's question is missing, or a question's id occurs twice.

    References:
        Kadavath et al. 2022, section 4.1; there, about 20 examples are needed for the values to be calibrated.
    """
    if {shot.right for shot in settings.shots} != {True, False}:
        raise ConfigError(
            f"few-shot P(True) needs worked examples with right and with wrong answers; "
            f"there are {sum(shot.right for shot in settings.shots)} right ones among {len(settings.shots)}"
        )
    requests = []
    for question, found in pair_with_questions(questions, answers):
        if find_fault(found) is not None:
            continue
        shots = [shot for shot in settings.shots if shot.question != question.question]
        turns = [_ask(f"Question: {s.question}", s.answer, TRUE_QUERY, _verdict(s.right, TRUE_QUERY)) for s in shots]
        turns.append(_ask(show_question(question), _greedy(question, found), TRUE_QUERY))
        requests.append(build_request(question.id, turns, style=settings.style, options=TRUE_QUERY[2:]))
    return requests


def make_samples_shown_requests(
    questions: Sequence[Question], answers: Sequence[AnswerSet], settings: AskSettings
) -> list[SampleRequest]:
    """Ask as zero-shot P(True) does, with answers that the model drew itself shown before the proposed one.

    The first `samples_shown` drawn answers that are not empty are shown, equal ones as often as they were drawn. An answer of
    which fewer were drawn is not asked about: its prompt would not be like the others.

    Args:
        questions: Those of all answer sets.
        answers: Stored answers.
        settings: `style` and `samples_shown` are read.

    Raises:
        DataError: An answer set's question is missing, or a question's id occurs twice.

    References:
        Kadavath et al. 2022, section 4.2: samples at temperature 1. There, five in all, of which one is judged; here, five
        beside the greedy answer.
    """
    requests = []
    for question, found in pair_with_questions(questions, answers):
        if _find_fault_of_samples(found, settings) is None:
            shown = "\n".join(f"- {show_answer(question, sample)}" for sample in _showable(found)[: settings.samples_shown])
            asked = f"{show_question(question)}\nIdeas that came up:\n{shown}"
            turn = _ask(asked, _greedy(question, found), TRUE_QUERY)
            requests.append(build_request(question.id, [turn], style=settings.style, options=TRUE_QUERY[2:]))
    return requests


def make_right_query_requests(
    questions: Sequence[Question], answers: Sequence[AnswerSet], settings: AskSettings
) -> list[SampleRequest]:
    """Ask an untrained model for yes or no, in words: the zero-shot classifier of calibration tuning.

    Args:
        questions: Those of all answer sets.
        answers: Stored answers; nothing is asked about those that cannot be judged.
        settings: `style` is read.

    Raises:
        DataError: An answer set's question is missing, or a question's id occurs twice.

    References:
        Kapoor et al., Large Language Models Must Be Taught to Know What They Don't Know, arXiv 2406.08391, 2024, baseline
        "zero-shot classifier". There, the replies are the bare tokens `i` and `ii` of listed choices.
    """
    return make_p_true_requests(questions, answers, settings, query=RIGHT_QUERY)


def make_sure_requests(questions: Sequence[Question], answers: Sequence[AnswerSet], settings: AskSettings) -> list[SampleRequest]:
    """Let the model say behind its answer whether it is sure of it, in the words of R-Tuning, without having been trained to.

    In a chat the reply is begun for the model, which only the engine in this process can do.

    Args:
        questions: Those of all answer sets.
        answers: Stored answers; nothing is asked about those that cannot be judged.
        settings: `style` is read.

    Raises:
        DataError: An answer set's question is missing, or a question's id occurs twice.

    References:
        Zhang et al., R-Tuning: Instructing Large Language Models to Say "I Don't Know", NAACL 2024: P(sure) over
        P(sure) + P(unsure). Here the likelihoods are those of the whole sentences, as the two words have unlike tokens.
    """
    return [
        build_request(
            question.id,
            [Turn(show_question(question), "Answer:", f"{_greedy(question, found)}\n{SURE_QUERY}")],
            style=settings.style,
            options=(SURE, UNSURE),
        )
        for question, found in pair_with_questions(questions, answers)
        if find_fault(found) is None
    ]


def read_option_replies(answers: Sequence[AnswerSet], replies: Sequence[Sample], settings: AskSettings) -> list[Estimate]:
    """The share of the likelihood of both replies that the one has which says that the answer is right.

    Args:
        answers: As given to the function that made the requests.
        replies: To its requests, in any order.
        settings: Not read.

    Returns:
        One for each answer set, in their order; in [0, 1].

    Raises:
        DataError: Two replies are to the same question.
    """
    by_id = index_by_id((reply.question_id, reply) for reply in replies)
    return [_fault_or_share(find_fault(found), by_id.get(found.question_id)) for found in answers]


def read_samples_shown_replies(answers: Sequence[AnswerSet], replies: Sequence[Sample], settings: AskSettings) -> list[Estimate]:
    """As `read_option_replies`, where `samples_shown` drawn answers are needed too."""
    by_id = index_by_id((reply.question_id, reply) for reply in replies)
    return [_fault_or_share(_find_fault_of_samples(found, settings), by_id.get(found.question_id)) for found in answers]


def compare_options(reply: Sample | None) -> float | str:
    """Log-odds of the first of two options against the second, in nats; else why there are none.

    Infinite where one of them is impossible.
    """
    if reply is None:
        return "the model was not asked"
    if reply.failure is not None:
        return f"the reply failed: {reply.failure}"
    if len(reply.option_log_likelihoods) != 2:
        return "the engine does not tell the likelihoods of the options"
    first, second = reply.option_log_likelihoods
    log_odds = first - second
    return "the likelihoods of the options are no numbers" if math.isnan(log_odds) else log_odds


def logistic(log_odds: float) -> float:
    """The probability of log-odds, in [0, 1]; does not overflow."""
    return 0.5 * (1.0 + math.tanh(0.5 * log_odds))


def _ask(shown: str, answer: str, query: JudgeQuery, verdict: str = "") -> Turn:
    return Turn(f"{shown}\nProposed answer: {answer}\n{query.asked}", query.cue, verdict)


def _verdict(right: bool, query: JudgeQuery) -> str:
    return query.right if right else query.wrong


def _greedy(question: Question, found: AnswerSet) -> str:
    return show_answer(question, found.greedy) if found.greedy else ""


def _showable(found: AnswerSet) -> list[Sample]:
    return [sample for sample in found.drawn if sample.text.strip()]


def _find_fault_of_samples(found: AnswerSet, settings: AskSettings) -> str | None:
    there = len(_showable(found))
    if there < settings.samples_shown:
        return find_fault(found) or f"{settings.samples_shown} drawn answers are to be shown, and there are {there}"
    return find_fault(found)


def _fault_or_share(fault: str | None, reply: Sample | None) -> Estimate:
    told = fault or compare_options(reply)
    return Estimate(None, told) if isinstance(told, str) else Estimate(logistic(told))
