"""Samples are spent where they can change a label, and a label that is settled is the one of the full draw."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from nescio.errors import ConfigError, DataError
from nescio.metrics.binomial import wilson_interval
from nescio.models.fake import FakeEngine
from nescio.records import Question, Sample, SampleGrade
from nescio.sample import sample_questions
from nescio.sample.adaptive import sample_adaptively

BORDERS = (0.1, 0.5)
LETTERS = {"r": "correct", "w": "incorrect", "a": "abstained", "u": "ungraded"}


def ask(number):
    """So many questions."""
    return [Question(id=f"q{n}", group=f"q{n}", question=f"What is {n}?") for n in range(number)]


class Oracle:
    """Verdicts that are known beforehand: a string of r(ight), w(rong), a(bstained), u(ngraded) for each question."""

    def __init__(self, verdicts, *, greedy=False):
        self.verdicts = dict(zip([f"q{n}" for n in range(len(verdicts))], verdicts, strict=True))
        self.greedy = greedy
        self.rounds = []
        self.graded = Counter()

    def draw(self, questions, upto):
        """Samples up to an index."""
        self.rounds.append((len(questions), upto))
        start = 0 if self.greedy else 1
        return [Sample(question_id=q.id, index=index, text="x") for q in questions for index in range(start, upto + 1)]

    def grade(self, questions, samples):
        """Look the verdicts up."""
        assert {sample.question_id for sample in samples} <= {question.id for question in questions}
        self.graded.update((sample.question_id, sample.index) for sample in samples)
        return [
            SampleGrade(
                question_id=s.question_id,
                index=s.index,
                verdict=LETTERS[self.verdicts[s.question_id][s.index - 1]] if s.index else "correct",
                reason="told",
            )
            for s in samples
        ]

    def run(self, **options):
        """Sample all questions adaptively."""
        return sample_adaptively(ask(len(self.verdicts)), self.draw, self.grade, **{"borders": BORDERS, **options})


def label_of(verdicts, borders=BORDERS):
    """Number of the range that right / graded lies in; None where nothing is graded."""
    graded = len(verdicts) - verdicts.count("u")
    return sum(verdicts.count("r") >= border * graded - 1e-12 for border in borders) if graded else None


def labels_after(result, oracle, borders=BORDERS):
    """The label of what was drawn of each question."""
    drawn = Counter(sample.question_id for sample in result.samples if sample.index)
    return [label_of(verdicts[: drawn[id]], borders) for id, verdicts in oracle.verdicts.items()]


@settings(deadline=None)
@given(
    st.lists(st.text("rwau", min_size=10, max_size=10), min_size=1, max_size=8),
    st.sampled_from([(0.1, 0.5), (0.5,), (0.3, 0.6, 0.9), (1.0,), (0.05, 1 / 3)]),
    st.integers(1, 10),
    st.integers(1, 4),
)
def test_the_exact_rule_never_changes_a_label(verdicts, borders, first, step):
    """Whatever the verdicts, ungraded ones among them, the label is that of all ten samples."""
    oracle = Oracle(verdicts)
    result = oracle.run(rule="exact", borders=borders, first=first, step=step)

    assert labels_after(result, oracle, borders) == [label_of(full, borders) for full in verdicts]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["exact", "wilson"]))
def test_counts_add_up_and_nothing_is_graded_twice(seed, rule):
    """Drawn and saved make a full draw; each sample has one grade; every question has a reason to stop."""
    chance = random.Random(seed)
    oracle = Oracle(["".join(chance.choices("rwu", k=10)) for _ in range(12)], greedy=seed % 2 == 0)
    result = oracle.run(rule=rule)
    kept = [(sample.question_id, sample.index) for sample in result.samples]

    assert result.drawn + result.saved == 120
    assert result.drawn == sum(index > 0 for _, index in kept)
    assert [(grade.question_id, grade.index) for grade in result.grades] == kept
    assert set(oracle.graded.values()) == {1}
    assert kept == sorted(kept, key=lambda key: (int(key[0][1:]), key[1]))
    assert list(result.stops) == list(oracle.verdicts)


def test_stops_by_hand():
    """With borders 0.1 and 0.5: when is which label settled, and when is its interval clear?"""
    verdicts = [
        "rrrrrrrrrr",  # after 4 the Wilson interval is [0.51, 1]: clear
        "wrrrrrwwww",  # 3 of 4: [0.30, 0.95], open; 5 of 6 are at worst 5 of 10: settled
        "wwwwwwwwww",  # the interval of 0 of 8 reaches 0.32: all are spent
        "rwwwwwwwww",  # 1 of 8: at best 3 of 10, at worst 1 of 10: settled at 8
        "uuuuuuuuuu",  # nothing graded: no label to settle
    ]
    oracle = Oracle(verdicts)
    result = oracle.run()
    drawn = Counter(sample.question_id for sample in result.samples)

    assert wilson_interval(4, 4).low == pytest.approx(0.510, abs=1e-3)
    assert result.stops == {"q0": "clear", "q1": "settled", "q2": "spent", "q3": "settled", "q4": "spent"}
    assert drawn == {"q0": 4, "q1": 6, "q2": 10, "q3": 8, "q4": 10}
    assert (result.drawn, result.saved) == (38, 12)


def test_a_settled_label_by_hand():
    """5 right of 6 are at worst 5 of 10: the exact rule stops, 4 of 6 do not."""
    oracle = Oracle(["rrrrrwwwww", "rrrrwwrwww"])
    result = oracle.run(rule="exact")

    assert Counter(sample.question_id for sample in result.samples) == {"q0": 6, "q1": 8}
    assert result.stops == {"q0": "settled", "q1": "settled"}


def test_rounds_go_over_all_open_questions_together():
    """Batches stay large: one call of draw a round, for all that are open."""
    oracle = Oracle(["rrrrrrrrrr"] * 5 + ["wwwwwwwwww"] * 3)
    oracle.run(first=4, step=3)

    assert oracle.rounds == [(8, 4), (3, 7), (3, 10)]


def test_doubtful_questions_go_on_to_n_max():
    """Only those whose interval still holds a border; what they cost more is told as a negative saving."""
    oracle = Oracle(["rw" * 20, "r" * 40, "w" * 40])
    result = oracle.run(n_max=40, step=4)
    drawn = Counter(sample.question_id for sample in result.samples)

    assert drawn["q1"] == 4
    assert drawn["q0"] == 40
    assert drawn["q2"] == 36  # the interval of 0 of m is below 0.1 from m = 35 on: 3.84 / (m + 3.84) < 0.1
    assert result.stops["q2"] == "clear"
    assert result.saved == 3 * 10 - (40 + 4 + 36)


def test_ungraded_samples_are_drawn_but_not_graded():
    """Four ungraded ones say nothing about the label, and the greedy answer is no drawn one."""
    oracle = Oracle(["uuuurrrrrr"], greedy=True)
    result = oracle.run()

    assert result.stops == {"q0": "settled"}
    assert result.drawn == 8  # 2 of 2 graded are at worst 2 of 6, open; 4 of 4 at worst 4 of 6
    assert len(result.samples) == 9


def simulate_population(number, *, seed):
    """Verdicts of questions of a model that knows some, has no idea of most and wavers on the rest."""
    chance = np.random.default_rng(seed)
    chances = chance.beta(0.25, 0.6, size=number)
    return ["".join(np.where(chance.random(10) < p, "r", "w")) for p in chances]


def test_saving_and_agreement_on_a_simulated_population():
    """The exact rule saves for nothing; Wilson's saves more, and at least 95 in 100 labels are those of the full draw."""
    exact, wilson = (Oracle(simulate_population(800, seed=1)) for _ in range(2))
    by_exact, by_wilson = exact.run(rule="exact"), wilson.run(rule="wilson")
    agreement = [
        np.mean([one == label_of(full) for one, full in zip(labels_after(result, oracle), oracle.verdicts.values(), strict=True)])
        for result, oracle in ((by_exact, exact), (by_wilson, wilson))
    ]

    assert agreement[0] == 1
    assert agreement[1] > 0.95
    assert 0 < by_exact.saved < by_wilson.saved
    assert by_wilson.saved > 0.1 * 8000


@pytest.mark.parametrize("n", [4, 6, 10, 30, 100])
def test_coverage_of_the_interval(n):
    """Summed exactly over k: near 95 % on average over p, and nowhere far below (Brown, Cai and DasGupta 2001, section 3)."""
    k = np.arange(n + 1)
    bounds = np.array([wilson_interval(int(right), n) for right in k])
    shares = np.linspace(0.001, 0.999, 999)
    coverage = np.array([binom.pmf(k, n, p)[(bounds[:, 0] <= p) & (p <= bounds[:, 1])].sum() for p in shares])

    assert coverage.mean() == pytest.approx(0.95, abs=0.015)
    assert coverage.min() > 0.82


def test_it_works_through_the_store(tmp_path):
    """With `sample_questions` as its hand, each sample is drawn once over all rounds, and a full draw draws only the rest."""
    questions, engine = ask(20), FakeEngine()

    def draw(open_questions, upto):
        return sample_questions(open_questions, engine, n=upto, greedy=False, store=tmp_path)

    def grade(_, samples):
        return [
            SampleGrade(
                question_id=s.question_id, index=s.index, verdict="correct" if s.text < "d" else "incorrect", reason=s.text
            )
            for s in samples
        ]

    result = sample_adaptively(questions, draw, grade, borders=BORDERS)
    assert result.saved > 0
    assert engine.drawn == result.drawn

    everything = draw(questions, 10)
    assert engine.drawn == 200
    assert set(result.samples) <= set(everything)


@pytest.mark.parametrize(
    "options",
    [
        {"borders": ()},
        {"borders": (0.0, 0.5)},
        {"borders": (0.5, 1.1)},
        {"n": 0},
        {"first": 0},
        {"step": 0},
        {"n_max": 9},
        {"n_max": 20, "rule": "exact"},
        {"level": 1.0},
        {"rule": "wald"},
    ],
)
def test_options_without_sense_are_refused(options):
    """Before anything is drawn."""
    oracle = Oracle(["rrrrrrrrrr"])

    with pytest.raises(ConfigError):
        oracle.run(**options)
    assert oracle.rounds == []


def test_lost_and_foreign_samples_and_grades_are_refused():
    """A sample too few, one that nobody asked for, a grade too few."""
    oracle = Oracle(["rrrrrrrrrr"])
    questions = ask(1)

    with pytest.raises(DataError, match="'q0' was to have samples 1 to 4"):
        sample_adaptively(questions, lambda q, n: oracle.draw(q, n)[1:], oracle.grade, borders=BORDERS)
    with pytest.raises(DataError, match="sample 5 of question 'q0' was drawn, but not asked for"):
        sample_adaptively(questions, lambda q, n: oracle.draw(q, n + 1), oracle.grade, borders=BORDERS)
    with pytest.raises(DataError, match="given 4 samples"):
        sample_adaptively(questions, oracle.draw, lambda q, s: oracle.grade(q, s)[1:], borders=BORDERS)
    with pytest.raises(DataError, match="distinct"):
        sample_adaptively(questions * 2, oracle.draw, oracle.grade, borders=BORDERS)


def test_no_questions_no_samples():
    """Nothing is drawn, nothing saved."""
    assert Oracle([]).run() == ([], [], 0, 0, {})
