"""Outcomes: what is said counts, by whichever rule refuses; the threshold is the best one on the questions given."""

import pytest

from nescio.confidence.second_opinion import SecondOpinion
from nescio.pipeline.outcomes import choose_threshold, fit_opinion, make_outcomes, weigh_replies
from nescio.records import Question, Reply, Sample, SampleGrade


def ask(id="q", **fields):
    """A question whose answer is Paris."""
    return Question.model_validate({"id": id, "group": id, "question": f"What is {id}?", "answers": ["Paris"], **fields})


def grade(*verdicts, id="q"):
    """Grades of the greedy answer and of those drawn."""
    return [SampleGrade(question_id=id, index=index, verdict=v, reason="a test") for index, v in enumerate(verdicts)]


def respond(threshold=None, before=("incorrect",), question=None, **reply):
    """The outcome of one reply."""
    question = question or ask()
    return make_outcomes([question], grade(*before), [Reply(question_id="q", **reply)], threshold=threshold)[0]


@pytest.mark.parametrize(
    ("reply", "after", "forced", "holds_gold"),
    [
        # By its own words: where the form says nothing of refusing.
        ({"text": "Paris"}, "correct", "correct", True),
        ({"text": "London"}, "wrong", "wrong", False),
        ({"text": "I don't know."}, "idk", None, False),
        ({"text": "I don't know.", "forced": "Paris"}, "idk", "correct", False),
        ({"text": "I don't know.", "forced": "No idea."}, "idk", "idk", False),
        ({"text": ""}, "ungraded", "ungraded", False),
        # Whoever answers needs no forcing: what a forbidden first letter made of "Iceland" is not what it said.
        ({"text": "London", "forced": "Paris"}, "wrong", "wrong", False),
        # By its form: R-Tuning answers and is unsure, a structured reply refuses.
        ({"text": "Paris", "refused": True, "forced": "Paris"}, "idk", "correct", True),
        ({"text": "Paris", "refused": True}, "idk", None, True),
        ({"text": "London", "refused": False}, "wrong", "wrong", False),
        ({"text": "I don't know.", "refused": False}, "idk", "idk", False),
        # A failure is neither right nor a refusal.
        ({"failure": "time-out"}, "ungraded", "ungraded", False),
        ({"failure": "time-out", "refused": True}, "ungraded", None, False),
    ],
)
def test_reply_without_a_threshold(reply, after, forced, holds_gold):
    """Form before words; a reply that does not refuse is its own forced answer."""
    row = respond(**reply)

    assert (row.after, row.forced, row.holds_gold) == (after, forced, holds_gold)


@pytest.mark.parametrize(
    ("reply", "after", "forced", "holds_gold"),
    [
        # Below the threshold of 0.5 the answer is held back: it is no longer in what is said.
        ({"text": "Paris", "refused": False, "confidence": 0.4}, "idk", "correct", False),
        ({"text": "Paris", "refused": False, "confidence": 0.5}, "correct", "correct", True),
        # From the threshold on the refusal gives way to what would have been said.
        ({"text": "I can't say.", "refused": True, "forced": "Paris", "confidence": 0.6}, "correct", "correct", True),
        ({"text": "I can't say.", "refused": True, "forced": "London", "confidence": 0.6}, "wrong", "wrong", False),
        ({"text": "I can't say.", "refused": True, "forced": "Paris", "confidence": 0.4}, "idk", "correct", False),
        # Where nothing was forced there is nothing else to say.
        ({"text": "I can't say.", "refused": True, "confidence": 0.6}, "idk", None, False),
        # No confidence, no rule; a failure or a blank stays one.
        ({"text": "Paris", "refused": False}, "correct", "correct", True),
        ({"failure": "time-out", "confidence": 0.4}, "ungraded", "ungraded", False),
        ({"text": "", "confidence": 0.4}, "ungraded", "ungraded", False),
    ],
)
def test_reply_under_a_threshold(reply, after, forced, holds_gold):
    """Confidence decides alone, and what is held back holds no gold."""
    row = respond(threshold=0.5, **reply)

    assert (row.after, row.forced, row.holds_gold) == (after, forced, holds_gold)


@pytest.mark.parametrize(
    ("verdicts", "before", "right", "graded"),
    [
        (("correct", "correct", "incorrect"), "correct", 1, 2),
        (("incorrect", "ungraded", "abstained"), "wrong", 0, 1),
        (("abstained",), "idk", None, None),
        (("ungraded", "ungraded"), "ungraded", None, None),
    ],
)
def test_before_is_the_greedy_answer_and_samples_are_counted_apart(verdicts, before, right, graded):
    """Ungraded samples are in neither count; without a graded one there is none."""
    row = respond(before=verdicts, text="Paris")

    assert (row.before, row.right, row.graded) == (before, right, graded)


def test_outcomes_follow_the_questions_whatever_the_order_of_the_replies():
    """Joined by id; obscurity, group and answerable come along."""
    questions = [ask("a", obscurity=0.25), ask("b", answerable=False, answers=[], group="g")]
    replies = [Reply(question_id="b", text="Paris"), Reply(question_id="a", text="Paris")]
    rows = make_outcomes(questions, grade("correct", id="b") + grade("correct", id="a"), replies)

    assert [(row.question_id, row.group, row.after) for row in rows] == [("a", "a", "correct"), ("b", "g", "wrong")]
    assert (rows[0].obscurity, rows[0].answerable, rows[1].answerable) == (0.25, None, False)
    assert rows[1].holds_gold is False


def choose(*cases):
    """The threshold over questions given as (before, text, refused, forced, confidence)."""
    questions = [ask(str(n)) for n in range(len(cases))]
    grades = [one for n, case in enumerate(cases) for one in grade(case[0], id=str(n))]
    replies = [
        Reply(question_id=str(n), text=text, refused=refused, forced=forced, confidence=confidence)
        for n, (_, text, refused, forced, confidence) in enumerate(cases)
    ]
    return choose_threshold(questions, grades, replies)


def test_threshold_parts_known_from_unknown():
    """Of 0.2, 0.4, 0.7 and 0.9, 0.7 refuses the two unknown ones and none of the known: honesty 1."""
    unknown = [("incorrect", "London", False, None, confidence) for confidence in (0.2, 0.4)]
    known = [("correct", "Paris", False, None, confidence) for confidence in (0.9, 0.7)]

    assert choose(*unknown, *known) == 0.7


def test_threshold_may_answer_more_than_the_words_would():
    """All four refuse by their words: honesty 1/2. From 0.7 on the two known ones answer: honesty 1."""
    unknown = [("incorrect", "Pass.", True, "London", confidence) for confidence in (0.2, 0.4)]
    known = [("correct", "Pass.", True, "Paris", confidence) for confidence in (0.9, 0.7)]

    assert choose(*unknown, *known) == 0.7


def test_of_equal_thresholds_the_lowest_is_taken():
    """A reply that became right is in no rate: refusing it or not gives the same honesty, and 0.5 comes before 0.6.

    Unknown at 0.3; became right at 0.5, which leaves prudence and over-conservativeness alone while it answers. Refused, it
    counts as prudent, so that 0.5 and 0.6 both give prudence 1 and honesty 1.
    """
    cases = [("incorrect", "London", False, None, 0.3), ("incorrect", "Paris", False, None, 0.5)]

    assert choose(*cases, ("correct", "Paris", False, None, 0.6)) == 0.5


def test_no_threshold_where_words_are_as_good_or_nothing_is_stated():
    """None means that the replies' own words decide."""
    by_words = [("incorrect", "Pass.", True, "London", 0.2), ("correct", "Paris", False, None, 0.9)]

    assert choose(*by_words) is None  # honesty is 1 already
    assert choose(("incorrect", "London", None, None, None), ("correct", "Paris", None, None, None)) is None


def test_ungraded_replies_do_not_move_the_threshold():
    """A failure has no cell in the grid, before or after."""
    cases = [("incorrect", "London", False, None, 0.2), ("correct", "Paris", False, None, 0.9)]

    assert choose(*cases) == choose(*cases, ("ungraded", "London", False, None, 0.95), ("incorrect", "", None, None, 0.95)) == 0.9


OPINION = SecondOpinion(weights=(1.0, 0.0), intercept=0.0, slope_of_answer=1.0, slope_of_reply=1.0)
"""Refuses where the log-odds of answering and the log-likelihood of the first answer together are below 0."""


def weigh(log_probability=-1.0, failure=None, **reply):
    """One reply after the second opinion."""
    told = () if log_probability is None else (log_probability,)
    said = [
        Sample(question_id="q", index=1, text="Rome", log_probabilities=(-0.1,)),
        Sample(question_id="q", index=0, text="Paris", log_probabilities=told, failure=failure),
    ]
    return weigh_replies(said, [Reply(question_id="q", **reply)], OPINION)[0]


@pytest.mark.parametrize(
    ("reply", "refused", "text"),
    [
        ({"answer_log_odds": 1.1, "refused": False, "text": "London"}, False, "Oslo"),
        ({"answer_log_odds": 1.1, "refused": True, "text": "I don't know."}, False, "Oslo"),
        ({"answer_log_odds": 0.9, "refused": True, "text": "I don't know."}, True, "I don't know."),
        ({"answer_log_odds": 0.9, "refused": False, "text": "London"}, True, ""),  # what was answered is held back
    ],
)
def test_a_second_opinion_decides_with_the_reply(reply, refused, text):
    """What is answered is what the model says in free text, for that is what had to win against the refusal."""
    weighed = weigh(forced="Oslo", **reply)

    assert (weighed.refused, weighed.text, weighed.forced) == (refused, text, "Oslo")
    assert (weighed.confidence < 0.5) is refused


@pytest.mark.parametrize(
    "without", [{"answer_log_odds": None}, {"forced": None}, {"forced": ""}, {"log_probability": None}, {"failure": "too long"}]
)
def test_without_an_opinion_a_reply_stays(without):
    """Nothing is known of the first answer, or of what the model would rather say."""
    reply = {"answer_log_odds": 5.0, "refused": True, "text": "I don't know.", "forced": "Oslo", **without}

    kept = {name: value for name, value in reply.items() if name not in ("failure", "log_probability")}
    assert weigh(**reply) == Reply(question_id="q", **kept)


def test_the_opinion_is_fitted_to_greedy_answers_that_have_a_grade():
    """Likely where right; invented questions are unknown, whatever their grade says."""
    ids = [f"q{n}" for n in range(40)]
    questions = [ask(id=id, **({"answers": [], "answerable": False} if n % 4 == 3 else {})) for n, id in enumerate(ids)]
    right = [n % 2 == 0 for n in range(40)]
    samples = [
        sample
        for id, known in zip(ids, right, strict=True)
        for sample in (
            Sample(question_id=id, index=0, text="Paris", log_probabilities=(-0.5 if known else -4.0,)),
            Sample(question_id=id, index=1, text="Rome", log_probabilities=(-4.0 if known else -0.5,)),
        )
    ]
    verdicts = ["correct" if known else "ungraded" if n % 4 == 3 else "incorrect" for n, known in enumerate(right)]
    grades = [grade(verdict, "correct", id=id)[i] for id, verdict in zip(ids, verdicts, strict=True) for i in (0, 1)]
    asked = (questions, samples, grades)
    replies = [
        Reply(question_id=id, answer_log_odds=2.0 if known else -2.0, forced="Paris")
        for id, known in zip(ids, right, strict=True)
    ]
    opinion = fit_opinion(asked, asked, replies)

    assert opinion.slope_of_reply > 0
    assert opinion.slope_of_answer > 0
    assert [not reply.refused for reply in weigh_replies(samples, replies, opinion)] == right
    assert fit_opinion(asked, asked, [reply.model_copy(update={"answer_log_odds": None}) for reply in replies]) is None
