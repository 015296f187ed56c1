"""Questions of any file and of the hub: ids, groups, obscurity, marks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nescio.data.questions import SETTINGS, Columns, load_questions
from nescio.data.questions.hub import find_only_split, read_hub
from nescio.errors import ConfigError, DataError
from nescio.records import Question
from nescio.store import write_records


def write_lines(path: Path, *rows: dict[str, Any]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_of_questions_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is written as JSONL of questions is read without a word on its columns."""
    questions = [
        Question(id="a", group="g", question="Q?", answers=("x", "y"), source="s", metadata={"n": 1, "b": True}),
        Question(id="b", group="g", question="Q?", choices=("10", "2", "1"), choice=1, language="ja", source="s", phrasing="p1"),
        Question(id="c", group="h", question="R?", context="C.", answerable=False, source="s", obscurity=0.25),
    ]
    write_records(tmp_path / "q.jsonl", questions)

    assert load_questions(tmp_path / "q.jsonl") == questions


def test_made_ids_do_not_depend_on_the_order(tmp_path: Path) -> None:
    """The id is of the text; a second row of the same text is numbered."""
    rows = [{"question": "A?"}, {"question": "B?"}, {"question": "A?"}, {"question": "A?", "context": "c"}]
    one = load_questions(write_lines(tmp_path / "set.v2.jsonl", *rows))
    other = load_questions(write_lines(tmp_path / "set.jsonl", *reversed(rows)))

    assert {question.id for question in one} == {question.id for question in other}
    assert one[2].id == f"{one[0].id}-2"
    assert len({question.id for question in one}) == 4
    assert all(question.id.startswith("set-") and question.source == "set" for question in one)


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    """The message names both rows."""
    path = write_lines(tmp_path / "a.jsonl", {"id": 1, "question": "A?"}, {"id": "1", "question": "B?"})

    with pytest.raises(DataError, match=r"a\.jsonl:2: id '1' was already used in .*a\.jsonl:1"):
        load_questions(path)


def test_groups_come_from_the_group_the_entity_or_the_question(tmp_path: Path) -> None:
    """Case and punctuation of entity and question do not matter, nor does the context."""
    path = write_lines(
        tmp_path / "a.jsonl",
        {"question": "A?", "group": "G-1"},
        {"question": "B?", "entity": "St. Ives"},
        {"question": "C?", "entity": "st ives"},
        {"question": "Who is it?"},
        {"question": "who is it", "context": "c"},
        {"question": "Who was it?"},
        {"question": "???"},
    )
    groups = [question.group for question in load_questions(path)]

    assert groups[0] == "G-1"
    assert groups[1] == groups[2] == "st ives"
    assert groups[3] == groups[4]
    assert len(set(groups)) == 5


def test_obscurity_is_the_rank_by_popularity(tmp_path: Path) -> None:
    """0 is the best known, ties share their mean rank, no popularity is no obscurity."""
    path = write_lines(tmp_path / "a.jsonl", *({"question": "Q?", "views": views} for views in (5, 100, 5, None, 1)))
    questions = load_questions(path, columns=Columns(popularity="views"))

    # Four are known: ranks 0 (100), 1 and 2 (5 twice, 1.5 each), 3 (1), each divided by the 3 others.
    assert [question.obscurity for question in questions] == [0.5, 0.0, 0.5, None, 1.0]
    assert questions[1].metadata == {"views": 100}
    # A single one has nobody to be compared with.
    assert load_questions(path, columns=Columns(popularity="views"), limit=1)[0].obscurity is None


def test_limit_reads_no_further(tmp_path: Path) -> None:
    """A fault behind the limit is not met, one before it is."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "A?"}\n{"question": "B?"}\n{"question"', encoding="utf-8")

    assert [question.question for question in load_questions(path, limit=2)] == ["A?", "B?"]
    with pytest.raises(DataError, match=r"a\.jsonl:3"):
        load_questions(path, limit=3)
    with pytest.raises(ConfigError, match="limit must be at least 1, got 0"):
        load_questions(path, limit=0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    """No questions are no success."""
    (tmp_path / name).write_text("", encoding="utf-8")

    with pytest.raises(DataError, match=f"{name}' holds no rows"):
        load_questions(tmp_path / name)


def test_a_value_that_no_question_may_have_is_refused_with_its_line(tmp_path: Path) -> None:
    """The record's own checks hold too."""
    path = write_lines(tmp_path / "a.jsonl", {"question": "A?"}, {"question": "B?", "obscurity": 2})

    with pytest.raises(DataError, match=r"a\.jsonl:2: obscurity"):
        load_questions(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.csv", "'absent.csv' does not exist"),
        ("absent/more/file", "does not exist; expected a file, an id of the hub"),
        ("popqq", "unknown setting 'popqq'. Did you mean 'popqa'"),
        ("umwp", "'umwp' is not on the hub: get its files from github.com"),
        (".", "is a folder; name a file in it, or the setting that reads it"),
    ],
)
def test_a_source_that_is_nothing_is_refused(source: str, message: str) -> None:
    """With what could have been meant."""
    with pytest.raises(DataError, match=message):
        load_questions(source)


def test_settings_for_files_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    """An unknown setting or split, columns beside a setting, and files that are others than the data set's."""
    path = write_lines(tmp_path / "a.jsonl", {"question": "A?"})

    with pytest.raises(ConfigError, match=r"unknown setting 'umpw'\. Did you mean 'umwp'"):
        load_questions(path, setting="umpw")
    with pytest.raises(ConfigError, match="has columns of its own"):
        load_questions(path, setting="umwp", columns=Columns())
    with pytest.raises(ConfigError, match="'sciq' reads from the hub only"):
        load_questions(path, setting="sciq")
    with pytest.raises(DataError, match=r"is no file of 'umwp'; expected StandardDataset\.jsonl"):
        load_questions(path, setting="umwp")
    with pytest.raises(DataError, match=r"'nq_open': unknown split 'trian'\. Did you mean 'train'"):
        load_questions(path, setting="nq_open", split="trian")
    with pytest.raises(DataError, match="does not exist; the files of 'umwp' are at"):
        load_questions(tmp_path / "absent", setting="umwp")


class Hub:
    """Stands for the hub: rows by split, and what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.rows = rows
        self.asked: list[tuple[str, str | None, str]] = []
        self.read = 0
        monkeypatch.setattr("datasets.load_dataset", self.load)
        monkeypatch.setattr("datasets.get_dataset_split_names", lambda hub_id, config: list(rows))

    def load(self, hub_id: str, *, name: str | None, split: str, streaming: bool) -> Iterator[dict[str, Any]]:
        """As `datasets.load_dataset`."""
        assert streaming
        self.asked.append((hub_id, name, split))
        if split not in self.rows:
            raise ValueError(f"Bad split: {split}.\nAvailable splits: {list(self.rows)}")
        for row in self.rows[split]:
            self.read += 1
            yield row


HUB_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # Setting: a row as the hub has it, and what the question must hold.
    "nq_open": ({"question": "q", "answer": ["a", "b"]}, {"answers": ("a", "b")}),
    "trivia_qa": (
        {"question": "q", "question_id": "tc_1", "answer": {"value": "b", "aliases": ["a", "b"], "type": "x"}},
        {"id": "trivia_qa-tc_1", "answers": ("b", "a")},
    ),
    "popqa": (
        {"id": 4, "subj": "Ada L.", "prop": "job", "question": "q", "possible_answers": '["a", "b"]', "s_pop": 9, "o_pop": 8},
        {"id": "popqa-4", "group": "ada l", "answers": ("a", "b"), "relation": "job"},
    ),
    "web_questions": (
        {"url": "http://f/en/ada", "question": "q", "answers": ["a"]},
        {"group": "http://f/en/ada", "answers": ("a",)},
    ),
    "mmlu": (
        {"question": "q", "subject": "s", "choices": ["1", "0", "3", "2"], "answer": 0},
        {"choices": ("1", "0", "3", "2"), "choice": 0, "answers": ()},
    ),
    "arc": (
        {"id": "M1", "question": "q", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"},
        {"id": "arc-M1", "choices": ("a", "b", "c"), "choice": 2},
    ),
    "arc_easy": (
        {"id": "M1", "question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
        {"id": "arc_easy-M1", "choice": 1},
    ),
    "openbookqa": (
        {"id": "7", "question_stem": "q ", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
        {"id": "openbookqa-7", "question": "q", "choices": ("a", "b"), "choice": 0},
    ),
    "sciq": (
        {"question": "q", "correct_answer": "a", "distractor1": "b", "distractor2": "c", "distractor3": "d", "support": "a."},
        {"answers": ("a",), "context": None},
    ),
    "selfaware": ({"question": "q", "answer": None, "answerable": False, "source": "x"}, {"answers": (), "answerable": False}),
    "squad2": (
        {"id": "1", "title": "The_Normans", "context": "c", "question": "q", "answers": {"text": [], "answer_start": []}},
        {"id": "squad2-1", "context": "c", "answers": (), "answerable": False},
    ),
    "truthfulqa": (
        {"type": "T", "category": "C", "question": "q", "best_answer": "b", "correct_answers": ["a", "b"], "source": "url"},
        {"answers": ("b", "a")},
    ),
    "truthfulqa_mc": ({"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]}}, {"answers": ()}),
}


def test_every_setting_of_the_hub_is_tested() -> None:
    """A setting without a row here would be untested."""
    assert set(HUB_ROWS) == {name for name, setting in SETTINGS.items() if setting.hub}


@pytest.mark.parametrize("name", HUB_ROWS)
def test_settings_read_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each knows its id, configuration, split and columns, and marks the benchmark."""
    row, expected = HUB_ROWS[name]
    hub = SETTINGS[name].hub
    assert hub is not None
    fake = Hub(monkeypatch, {split: [row] for split in hub.splits})
    [question] = load_questions(name)

    assert fake.asked == [(hub.id, hub.config, hub.splits[0])]
    assert {field: getattr(question, field) for field in expected} == expected
    assert question.source == f"{name} {hub.splits[0]}"
    assert question.metadata["benchmark_split"] == "test"


@pytest.mark.parametrize("name", ["sciq", "truthfulqa_mc"])
def test_options_whose_source_has_the_right_one_first_are_put_in_another_order(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right option stands anywhere, in every run the same place, and stays the right one."""
    row, _ = HUB_ROWS[name]
    hub = SETTINGS[name].hub
    assert hub is not None
    Hub(monkeypatch, {hub.splits[0]: [{**row, "question": f"q{i}"} for i in range(40)]})
    questions = load_questions(name)

    assert all(question.choices[question.choice or 0] == "a" for question in questions)
    assert {question.choice for question in questions} == set(range(len(questions[0].choices)))
    assert questions == load_questions(name)


def test_splits_of_a_setting_are_chosen_and_have_their_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """`train` may be trained on; what is not there is refused before anything is fetched."""
    fake = Hub(monkeypatch, {"train": [HUB_ROWS["nq_open"][0]]})

    assert load_questions("nq_open", split="train")[0].metadata == {"benchmark": "nq_open", "benchmark_split": "train"}
    with pytest.raises(DataError, match=r"'nq_open': unknown split 'tran'\. Did you mean 'train'"):
        load_questions("nq_open", split="tran")
    assert len(fake.asked) == 1


def test_a_benchmark_is_one_by_its_id_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the id of the hub gives the setting with its marks, with the configuration asked for, and own columns."""
    fake = Hub(monkeypatch, {"test": [HUB_ROWS["arc"][0]], "validation": [HUB_ROWS["truthfulqa_mc"][0]]})

    assert load_questions("allenai/ai2_arc")[0].id == "arc-M1"
    assert load_questions("allenai/ai2_arc", config="ARC-Easy")[0].id == "arc_easy-M1"
    assert load_questions("allenai/ai2_arc", config="Other")[0].metadata["benchmark"] == "arc"
    assert load_questions("truthfulqa/truthful_qa", config="multiple_choice")[0].metadata["benchmark"] == "truthfulqa"
    bare = load_questions("allenai/ai2_arc", columns=Columns(choices="choices.text"))[0]
    assert (bare.choice, bare.metadata["benchmark_split"]) == (None, "test")
    assert [config for _, config, _ in fake.asked] == ["ARC-Challenge", "ARC-Easy", "Other", "multiple_choice", "ARC-Challenge"]


def test_any_data_set_of_the_hub_is_read_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many rows as asked for; the only split needs no name."""
    fake = Hub(monkeypatch, {"main": [{"id": i, "question": f"q{i}", "gold": ["a"]} for i in range(9)]})
    questions = load_questions("somebody/some.set", columns=Columns(answers="gold"), config="c", limit=2)

    assert [(question.id, question.answers, question.source) for question in questions] == [
        ("0", ("a",), "some.set main"),
        ("1", ("a",), "some.set main"),
    ]
    assert questions[0].metadata == {}
    assert fake.asked == [("somebody/some.set", "c", "main")]
    assert fake.read <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "'somebody/set' has several splits; choose one: a, b"),
        (
            {"split": "c"},
            r"cannot read split 'c' of 'somebody/set' from the hub: Bad split: c\. Available splits: \['a', 'b'\]; check",
        ),
        ({"split": "a"}, r"somebody/set, split 'a': row 2: unknown column 'question'. Did you mean 'questoin'"),
    ],
)
def test_faults_of_the_hub_are_one_line(options: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign errors are translated, and a bad row is told by its number."""
    Hub(monkeypatch, {"a": [{"question": "q"}, {"questoin": "q"}], "b": []})

    with pytest.raises(DataError, match=message) as caught:
        load_questions("somebody/set", **options)
    assert "\n" not in str(caught.value)


def test_the_library_itself_streams_what_a_folder_holds(tmp_path: Path) -> None:
    """The call that is made is one that `datasets` understands; its own errors are translated."""
    write_lines(tmp_path / "train.jsonl", {"question": "A?", "answers": ["a"]}, {"question": "B?", "answers": []})
    write_lines(tmp_path / "test.jsonl", {"question": "C?", "answers": ["c"]})
    rows = list(read_hub(str(tmp_path), config=None, split="train"))

    assert [row.cells["answers"] for row in rows] == [["a"], []]
    assert rows[1].place.endswith("split 'train': row 2")
    with pytest.raises(DataError, match=r"cannot read split 'dev' of .* Bad split: dev"):
        next(read_hub(str(tmp_path), config=None, split="dev"))
    with pytest.raises(DataError, match="has several splits; choose one: train, test"):
        find_only_split(str(tmp_path), config=None)
    with pytest.raises(DataError, match=r"cannot read .*absent' from the hub"):
        find_only_split(str(tmp_path / "absent"), config=None)
