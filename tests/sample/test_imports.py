"""Samples of other tools come in whole, in order, or with the line that is at fault."""

import json

import pytest

from nescio.errors import DataError
from nescio.models.fake import FakeEngine
from nescio.sample import sample_questions
from nescio.sample.imports import import_samples
from nescio.store import write_records


@pytest.fixture
def write(tmp_path):
    """Write rows, or lines as they are, to a file."""

    def write_rows(*rows):
        path = tmp_path / "samples.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write_rows


def numbered(samples):
    """Id, index and text of each."""
    return [(sample.question_id, sample.index, sample.text) for sample in samples]


def test_one_sample_a_row(write, make_questions):
    """Numbered from 1 in the order of the file, or by their own index; probabilities come along; questions give the order."""
    path = write(
        {"question_id": "q1", "text": "b"},
        {"question_id": "q0", "index": 2, "text": "z"},
        {"question_id": "q0", "index": 0, "text": "x", "log_probabilities": [-0.5, -1]},
        "",
        {"question_id": "q1", "text": "a"},
    )
    samples = import_samples(path, make_questions(3))

    assert numbered(samples) == [("q0", 0, "x"), ("q0", 2, "z"), ("q1", 1, "b"), ("q1", 2, "a")]
    assert samples[0].log_probabilities == (-0.5, -1.0)
    assert samples[0].prompt == ""


def test_all_samples_of_a_question_in_a_row(write, make_questions):
    """The greedy answer is number 0; a second row of the question goes on counting."""
    path = write(
        {"id": "q1", "samples": ["a", "", "c"], "greedy": "g"}, {"id": "q0", "samples": ["x"]}, {"id": "q1", "samples": ["d"]}
    )

    assert numbered(import_samples(path, make_questions(2))) == [
        ("q0", 1, "x"),
        *[("q1", index, text) for index, text in enumerate(["g", "a", "", "c", "d"])],
    ]


def test_our_own_samples_come_back(make_questions, tmp_path):
    """What the sample stage wrote reads as it was, choices and prompts included."""
    questions = [*make_questions(2), *(q.model_copy(update={"id": "c", "choices": ("x", "y")}) for q in make_questions(1))]
    samples = sample_questions(questions, FakeEngine(failing=frozenset({("q1", 2)})), n=2, store=tmp_path)
    write_records(tmp_path / "out.jsonl", samples)

    assert import_samples(tmp_path / "out.jsonl", questions) == samples


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": "q0", "sam', "not a whole JSON object"),
        (["q0", "a"], "a row must be an object with 'question_id' and 'text', or with 'id' and 'samples'"),
        ({"text": "a"}, "a row must be an object"),
        ({"question_id": "q0"}, "text: Field required"),
        ({"question_id": "q0", "text": None}, "text: Input should be a valid string"),
        ({"question_id": 7, "text": "a"}, "question_id: Input should be a valid string"),
        ({"question_id": "q0", "text": "a", "index": -1}, "index: Input should be greater than or equal to 0"),
        ({"question_id": "q0", "text": "a", "index": "1"}, "index: Input should be a valid integer"),
        ({"question_id": "q0", "text": "a", "logprobs": [0]}, "logprobs: Extra inputs are not permitted"),
        ({"question_id": "q0", "text": "a", "log_probabilities": "x"}, "log_probabilities: "),
        ({"id": "q0"}, "samples: Field required"),
        ({"id": "q0", "samples": "abc"}, "samples: Input should be a valid list"),
        ({"id": "q0", "samples": ["a", 3]}, "samples.1: Input should be a valid string"),
        ({"id": "q0", "samples": ["a"], "text": "b"}, "text: Extra inputs are not permitted"),
        ({"question_id": "q1", "text": "a", "index": 1}, "sample 1 of question 'q1' was already in line 1"),
    ],
)
def test_a_faulty_row_is_named(write, make_questions, row, message):
    """One line with file and line number."""
    path = write({"id": "q1", "samples": ["a"]}, row)

    with pytest.raises(DataError) as caught:
        import_samples(path, make_questions(2))
    assert str(caught.value).startswith(f"{path}:2: {message}")
    assert "\n" not in str(caught.value)


def test_samples_of_unknown_questions_are_counted(write, make_questions):
    """They stop the import, unless they are to be skipped; then their number is told."""
    path = write({"id": "q0", "samples": ["a"]}, {"id": "p7", "samples": ["a", "b"]}, {"question_id": "p8", "text": "c"})
    told = []

    with pytest.raises(DataError, match=r"samples.jsonl:2: no question has the id 'p7'; 3 of 4 samples belong to no question"):
        import_samples(path, make_questions(2))
    assert numbered(import_samples(path, make_questions(2), skip_unknown=True, on_skipped=told.append)) == [("q0", 1, "a")]
    assert told == [3]


def test_a_file_without_samples_is_refused(write, make_questions, tmp_path):
    """Empty, or not there."""
    with pytest.raises(DataError, match="holds no samples"):
        import_samples(write(""), make_questions(1))
    with pytest.raises(DataError, match="does not exist"):
        import_samples(tmp_path / "none.jsonl", make_questions(1))
