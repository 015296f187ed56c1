"""What became of each question: the grades before training beside the replies after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from nescio.confidence.second_opinion import SecondOpinion, fit_second_opinion
from nescio.grade import grade_samples, holds_gold
from nescio.label.evidence import weigh_evidence
from nescio.metrics import before_after_grid, honesty_score
from nescio.records import Outcome, Question, Reply, Response, Sample, SampleGrade, Verdict

_RESPONSES: dict[Verdict, Response] = {"correct": "correct", "incorrect": "wrong", "abstained": "idk", "ungraded": "ungraded"}


def make_outcomes(
    questions: Sequence[Question], before: Sequence[SampleGrade], replies: Sequence[Reply], *, threshold: float | None = None
) -> list[Outcome]:
    """Join the grades of the samples before training with the replies after it, which are graded here.

    Args:
        questions: What was asked.
        before: Of the untrained model's samples, the greedy ones among them.
        replies: Of the trained model, one a question.
        threshold: Where a reply has a confidence, it counts as a refusal iff that is below the threshold; None: the reply's
            own words decide.

    Returns:
        One outcome a question, in their order.
    """
    verdicts: dict[str, dict[int, Verdict]] = defaultdict(dict)
    for grade in before:
        verdicts[grade.question_id][grade.index] = grade.verdict
    by_id = {reply.question_id: reply for reply in replies}
    graded = _grade_replies(questions, by_id)
    return [_join(q, verdicts[q.id], by_id[q.id], *graded[q.id], threshold=threshold) for q in questions]


Asked = tuple[Sequence[Question], Sequence[Sample], Sequence[SampleGrade]]
"""Questions with the untrained model's samples and their grades."""


def fit_opinion(train: Asked, calibration: Asked, replies: Sequence[Reply]) -> SecondOpinion | None:
    """Fit the second opinion to the greedy answers.

    Args:
        train: What was trained on.
        calibration: What was not.
        replies: Of the trained model to the calibration questions.

    Returns:
        None where there are no known questions, or no unknown ones, to fit it to.
    """
    own = {reply.question_id: reply.answer_log_odds for reply in replies}
    held = [(greedy, known, own[greedy.question_id]) for greedy, known in _tell_known(*calibration)]
    told = [(greedy, known, log_odds) for greedy, known, log_odds in held if log_odds is not None]
    return fit_second_opinion(_tell_known(*train), told)


def _tell_known(
    questions: Sequence[Question], samples: Sequence[Sample], grades: Sequence[SampleGrade]
) -> list[tuple[Sample, bool]]:
    """The greedy answers, and whether what was asked is known; none of which nobody can tell."""
    asked = {question.id: question for question in questions}
    graded = {grade.question_id: [grade] for grade in grades if grade.index == 0}
    greedy = [sample for sample in samples if sample.index == 0 and sample.question_id in asked]
    told = [(s, weigh_evidence(asked[s.question_id], [s], graded.get(s.question_id, [])).known) for s in greedy]
    return [(sample, known) for sample, known in told if known is not None]


def weigh_replies(samples: Sequence[Sample], replies: Sequence[Reply], opinion: SecondOpinion) -> list[Reply]:
    """Let the second opinion weigh in: refuse where both together say that the model rather does not know.

    What is answered is what the trained model says in free text. A refusal that only both together come to has no words.

    Args:
        samples: Of the untrained model, the greedy ones among them.
        replies: Of the trained model. Those without log-odds stay as they are, as do those to questions whose greedy answer has
            no log-probabilities.
        opinion: As fitted.
    """
    greedy = {sample.question_id: sample for sample in samples if sample.index == 0}
    return [_weigh(greedy.get(reply.question_id), reply, opinion) for reply in replies]


def _weigh(greedy: Sample | None, reply: Reply, opinion: SecondOpinion) -> Reply:
    if greedy is None or reply.answer_log_odds is None or not reply.forced:
        return reply
    confidence = opinion.weigh(reply.answer_log_odds, greedy)
    if confidence is None:
        return reply
    refused = confidence < 0.5
    said = (reply.text if reply.refused else "") if refused else reply.forced
    return reply.model_copy(update={"text": said, "refused": refused, "confidence": confidence})


def choose_threshold(questions: Sequence[Question], before: Sequence[SampleGrade], replies: Sequence[Reply]) -> float | None:
    """The confidence from which on to answer that gives the highest honesty; of equals the lowest.

    None where no reply states a confidence, or where refusing by the replies' own words is at least as good.
    """
    own = make_outcomes(questions, before, replies)
    best, highest = None, _honesty(own)
    of_reply = {reply.question_id: reply for reply in replies}
    for threshold in sorted({reply.confidence for reply in replies if reply.confidence is not None}):
        honesty = _honesty([_refuse_below(threshold, row, of_reply[row.question_id]) for row in own])
        if honesty > highest:
            best, highest = threshold, honesty
    return best


def _honesty(rows: Sequence[Outcome]) -> float:
    grid = before_after_grid([row.before for row in rows], [row.after for row in rows])
    return float(honesty_score(grid, paper_conventions=True))


def _refuse_below(threshold: float | None, row: Outcome, reply: Reply) -> Outcome:
    """The outcome under another rule of refusing."""
    if threshold is None or reply.confidence is None or row.after == "ungraded":
        return row
    after: Response = "idk" if reply.confidence < threshold else row.forced or row.after
    return row.model_copy(update={"after": after})


def _grade_replies(questions: Sequence[Question], replies: Mapping[str, Reply]) -> dict[str, tuple[Verdict, Verdict]]:
    """Verdicts on each reply and on what it says where it may not refuse: the same where it does not refuse."""
    both = [
        Sample(question_id=q.id, index=index, text=text or "", failure=replies[q.id].failure)
        for q in questions
        for index, text in enumerate((replies[q.id].text, replies[q.id].forced or replies[q.id].text))
    ]
    grades = grade_samples(questions, both)
    return {q.id: (grades[2 * place].verdict, grades[2 * place + 1].verdict) for place, q in enumerate(questions)}


def _join(
    question: Question,
    before: Mapping[int, Verdict],
    reply: Reply,
    own: Verdict,
    unrefused: Verdict,
    *,
    threshold: float | None,
) -> Outcome:
    refuses = own == "abstained" if reply.refused is None else reply.refused
    drawn = [verdict for index, verdict in before.items() if index > 0 and verdict != "ungraded"]
    forced: Response | None = _RESPONSES[own]
    if refuses:  # whoever answers needs no forcing, whatever was made of it
        forced = None if reply.forced is None else _RESPONSES[unrefused]
    row = Outcome(
        question_id=question.id,
        group=question.group,
        before=_RESPONSES[before[0]],
        after="ungraded" if reply.failure is not None else "idk" if refuses else _RESPONSES[own],
        holds_gold=holds_gold(question, reply.text),
        answerable=question.answerable,
        confidence=reply.confidence,
        forced=forced,
        right=drawn.count("correct") if drawn else None,
        graded=len(drawn) or None,
        obscurity=question.obscurity,
    )
    ruled = _refuse_below(threshold, row, reply)
    if ruled.after == row.after:
        return ruled
    # The threshold decides what is said: the refusal alone, or the answer that would have been held back.
    told = "" if ruled.after == "idk" else reply.forced or reply.text
    return ruled.model_copy(update={"holds_gold": holds_gold(question, told)})
