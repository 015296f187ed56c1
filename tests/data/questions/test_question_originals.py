"""Every public data set is read from its original files, whole, and its faults are told in one line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nescio.data.questions import SETTINGS, find_shared_questions, load_questions, refuse_benchmark_tests
from nescio.errors import DataError


class Expected(NamedTuple):
    """What one split of one data set holds."""

    setting: str
    folder: str
    split: str
    rows: int
    first: dict[str, Any]
    """Facts of the first question, read off the file by eye."""
    benchmark_split: str | None = "test"


# Rows are counted with other tools (wc, csv, json); first rows were looked at in the files.
EXPECTED = [
    Expected("nq_open", "nq-open", "validation", 3610, {"answers": ("14 December 1972 UTC", "December 1972")}),
    Expected("nq_open", "nq-open", "efficientqa_dev", 1800, {"answers": ("1988",)}, "dev"),
    Expected("nq_open", "nq-open", "efficientqa_test", 1769, {"answers": ("6 geese a-laying", "maids a-milking")}),
    Expected("nq_open_oracle", "nq-open-oracle", "validation", 2655, {"answers": ("Wilhelm Conrad Röntgen",)}),
    Expected("trivia_qa", "triviaqa-150", "sample", 150, {"id": "trivia_qa-tqa_c256394e"}),
    Expected(
        "popqa", "popqa-2k", "dev", 1000, {"id": "popqa-1412286", "answers": ("association football", "football", "soccer")}
    ),
    Expected("popqa", "popqa-2k", "test", 1000, {"id": "popqa-375943", "answers": ("Toulon", "Port-la-Montagne", "Tolon")}),
    Expected(
        "entityquestions", "entityquestions", "dev", 22068, {"answers": ("qadi",), "group": "çandarlı ibrahim pasha"}, "dev"
    ),
    Expected("entityquestions", "entityquestions", "test", 22075, {"answers": ("blacksmith",), "relation": "P106"}),
    Expected(
        "web_questions", "webquestions", "train", 2834, {"id": "web_questions-wqr000001", "answers": ("Padmé Amidala",)}, "train"
    ),
    Expected("web_questions", "webquestions", "validation", 755, {"answers": ("Bahamian dollar",)}, "dev"),
    Expected("web_questions", "webquestions", "devtest", 189, {"answers": ("Jazmyn Bieber", "Jaxon Bieber")}, "dev"),
    Expected("web_questions", "webquestions", "test", 2032, {"id": "web_questions-wqs000000"}),
    Expected("mmlu", "mmlu", "dev", 285, {"choices": ("0", "1", "2", "3"), "choice": 1}, "dev"),
    Expected("mmlu", "mmlu", "validation", 1531, {"choices": ("4", "8", "12", "6"), "choice": 0}, "dev"),
    Expected("mmlu", "mmlu", "test", 14042, {"choices": ("0", "4", "2", "6"), "choice": 1}),
    Expected("arc", "arc-challenge", "dev", 299, {"id": "arc-Mercury_SC_407695", "choice": 3}, "dev"),
    Expected("arc", "arc-challenge", "test", 1172, {"id": "arc-Mercury_7175875", "choice": 2}),
    Expected("openbookqa", "openbookqa", "test", 500, {"choice": 1, "answers": ()}),
    Expected("selfaware", "selfaware", "all", 3369, {"id": "selfaware-1", "answers": ("song",), "answerable": True}),
    Expected("squad2", "squad2-dev", "validation", 6078, {"answers": ("France",), "answerable": True, "group": "normans"}),
    Expected("truthfulqa", "truthfulqa", "validation", 817, {"choices": ()}),
    Expected("truthfulqa_mc", "truthfulqa", "validation", 817, {"answers": ()}),
    Expected("mintaka", "mintaka-dev", "dev", 9 * 2000, {"id": "mintaka-9ace9041-en", "answers": ("Breaking Dawn",)}, "dev"),
    Expected("umwp", "umwp", "all", 5200, {"id": "umwp-1", "answers": ("460",), "answerable": True}),
    Expected("liedetector", "liedetector-facts", "facts", 1012, {"id": "liedetector-0", "answers": ("Antarctica",)}, None),
    Expected("liedetector", "liedetector-facts", "made_up", 380, {"answers": (), "answerable": False}, None),
    Expected("known_1000", "liedetector-facts", "completions", 1209, {"group": "vinson massif", "relation": "P30"}, None),
    Expected("open_trivia_qa", "open-trivia-qa", "all", 49716, {"answers": ("Sloth",), "choice": 1}, None),
]


def find_data(shared_data: Path, folder: str) -> Path:
    """A data set's folder; the test is skipped where it is absent."""
    if not (shared_data / folder).is_dir():
        pytest.skip(f"{shared_data / folder} is absent")
    return shared_data / folder


def test_every_setting_for_files_is_tested() -> None:
    """A setting without a row above would be untested."""
    assert {expected.setting for expected in EXPECTED} == {name for name, setting in SETTINGS.items() if setting.original}


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: f"{expected.setting}-{expected.split}")
def test_original_files_are_read_whole(expected: Expected, shared_data: Path) -> None:
    """The number of rows, what the first one holds, ids that are unique, and the mark of the benchmark."""
    folder = find_data(shared_data, expected.folder)
    questions = load_questions(folder, setting=expected.setting, split=expected.split)

    assert len(questions) == expected.rows
    assert {field: getattr(questions[0], field) for field in expected.first} == expected.first
    assert len({question.id for question in questions}) == expected.rows
    assert {question.metadata.get("benchmark_split") for question in questions} == {expected.benchmark_split}
    assert all(question.answers or question.choices or question.answerable is False for question in questions) or (
        expected.split == "made_up"
    )
    # Options are told apart, and where there are some, the right one is known.
    assert all((question.choice is None) == (not question.choices) for question in questions)


def test_the_training_archive_of_entityquestions_is_read_as_it_is(shared_data: Path) -> None:
    """The templates beside it tell the entity, and the questions may be trained on."""
    folder = find_data(shared_data, "entityquestions")
    questions = load_questions(folder / "entityquestions-train.tar.gz", setting="entityquestions", limit=1200)

    assert (questions[0].id, questions[0].answers, questions[0].group) == (
        "entityquestions-train-P106-0",
        ("politician",),
        "vidar kleppe",
    )
    refuse_benchmark_tests(questions)


def test_every_entity_of_entityquestions_is_told_by_its_template(shared_data: Path) -> None:
    """No group is left to the words of the question."""
    questions = load_questions(find_data(shared_data, "entityquestions"), setting="entityquestions", split="dev")

    assert not any(question.group.startswith("question-") for question in questions)
    assert len({question.relation for question in questions}) == 24


def test_popularity_makes_the_obscurity_of_popqa(shared_data: Path) -> None:
    """Both numbers are kept; who is looked up more is less obscure, from 0 to 1."""
    questions = load_questions(find_data(shared_data, "popqa-2k"), setting="popqa")
    ordered = sorted(questions, key=lambda question: -float(question.metadata["s_pop"] or 0))
    obscurity = [question.obscurity or 0.0 for question in ordered]

    assert (questions[0].metadata["s_pop"], questions[0].metadata["o_pop"]) == (41, 197767)
    assert obscurity == sorted(obscurity)
    assert min(obscurity) == 0
    assert 0.99 < max(obscurity) <= 1
    # Ranks of any values have the mean (n - 1) / 2, over n - 1.
    assert sum(obscurity) / len(obscurity) == pytest.approx(0.5)


def test_unanswerable_questions_are_counted_as_their_papers_do(shared_data: Path) -> None:
    """SelfAware 1,032, UMWP 2,600, and each of the latter beside its answerable twin."""
    selfaware = load_questions(find_data(shared_data, "selfaware"), setting="selfaware")
    umwp = load_questions(find_data(shared_data, "umwp"), setting="umwp")
    squad = load_questions(find_data(shared_data, "squad2-dev"), setting="squad2")
    groups: dict[str, set[bool | None]] = {}
    for question in umwp:
        groups.setdefault(question.group, set()).add(question.answerable)

    assert sum(question.answerable is False for question in selfaware) == 1032
    assert sum(question.answerable is False for question in umwp) == 2600
    assert sum(question.answerable is False for question in squad) == 3168
    assert not any(question.answers for question in [*selfaware, *umwp, *squad] if question.answerable is False)
    assert set(map(frozenset, groups.values())) == {frozenset({True, False})}
    assert next(question.group for question in umwp if question.id == "umwp-5200") == "umwp-5100"


def test_only_questions_on_invented_people_are_marked_as_unanswerable(shared_data: Path) -> None:
    """The file mixes them with others; what it tells of any of them is never a gold answer."""
    questions = load_questions(find_data(shared_data, "liedetector-facts"), setting="liedetector", split="made_up")

    assert sum(question.answerable is False for question in questions) == 136
    assert not any(question.answers for question in questions)


def test_mintaka_is_parallel_in_nine_languages(shared_data: Path) -> None:
    """One group a question; counts, truth values and entities without an item are told as what a reply would say."""
    questions = load_questions(find_data(shared_data, "mintaka-dev"), setting="mintaka")
    by_id = {question.id: question for question in questions}
    languages: dict[str, set[str]] = {}
    for question in questions:
        languages.setdefault(question.group, set()).add(question.language)

    assert len(languages) == 2000
    assert all(found == {"en", "ar", "de", "es", "fr", "hi", "it", "ja", "pt"} for found in languages.values())
    assert by_id["mintaka-c86a1cba-ja"].answers == ("8",)  # a count, of which the file lists the counted too
    assert by_id["mintaka-c5fafd00-en"].answers == ("Decrease",)  # no entity of Wikidata
    assert {q.answers for q in questions if q.metadata["answer_type"] == "boolean"} == {("yes",), ("no",)}


def test_open_trivia_reads_both_encodings_and_blank_options(shared_data: Path) -> None:
    """No letter is lost where a file changes from UTF-8 to cp1252; options that are blank are left out."""
    folder = find_data(shared_data, "open-trivia-qa")
    categories = {
        name: load_questions(folder / name, setting="open_trivia_qa") for name in ("geography", "humanities", "video-games")
    }
    counts = {name: len(questions) for name, questions in categories.items()}
    three = [question for question in categories["humanities"] if len(question.choices) == 3]

    assert counts == {"geography": 842, "humanities": 1097, "video-games": 599}
    assert [question.answers for question in three] == [("a type of religion",)]
    assert not any("\ufffd" in question.question for question in categories["video-games"])
    assert all(question.choices[question.choice or 0] in question.answers for question in categories["geography"])


def test_the_right_option_of_truthfulqa_is_not_always_the_first(shared_data: Path) -> None:
    """In the file it is, 817 times: a model that always says A would seem to know everything."""
    questions = load_questions(find_data(shared_data, "truthfulqa"), setting="truthfulqa_mc")

    assert 0.15 < sum(question.choice == 0 for question in questions) / len(questions) < 0.35


def test_overlaps_between_data_sets_are_found(shared_data: Path) -> None:
    """All 2,655 oracle questions lie inside of nq_open, and share its groups; 52 of SelfAware are of SQuAD 2."""
    nq = load_questions(find_data(shared_data, "nq-open"), setting="nq_open", split="validation")
    oracle = load_questions(find_data(shared_data, "nq-open-oracle"), setting="nq_open_oracle")
    selfaware = load_questions(find_data(shared_data, "selfaware"), setting="selfaware")
    squad = load_questions(find_data(shared_data, "squad2-dev"), setting="squad2")
    shared = find_shared_questions(selfaware, squad)

    assert len(find_shared_questions(oracle, nq)) == 2655
    assert {question.group for question in oracle} <= {question.group for question in nq}
    assert sum(pair.similarity == 1 for pair in shared) == 52


def test_test_sets_are_refused_as_training_data(shared_data: Path) -> None:
    """The mark that a reader sets is the one that is looked for."""
    questions = load_questions(find_data(shared_data, "webquestions"), setting="web_questions")

    with pytest.raises(DataError, match="2032 of web_questions"):
        refuse_benchmark_tests(questions)
    refuse_benchmark_tests([question for question in questions if question.metadata["benchmark_split"] != "test"])


def damage(content: bytes, kind: str) -> bytes:
    """The file as it is after a broken download, a wrong editor, or with another column."""
    middle = len(content) * 3 // 5
    if kind == "torn":
        return content[:middle]
    if kind == "encoding":
        return content[:middle] + b"\xff" + content[middle:]
    quoted = (b'"question"', b'"input"', b'"qText"', b'"prompt"')
    column = next((column for column in quoted if column in content), b"Question,")  # the latter is in a CSV header
    return content.replace(column, column.replace(b"e", b"").replace(b"p", b"").replace(b"Q", b""))


FILES = {
    "nq_open": "nq-open/NQ-open.dev.jsonl",
    "nq_open_oracle": "nq-open-oracle/nq-open-oracle.jsonl.gz",
    "trivia_qa": "triviaqa-150/triviaqa.json",
    "popqa": "popqa-2k/popqa.json",
    "entityquestions": "entityquestions/dev/P106.dev.json",
    "web_questions": "webquestions/test.json",
    "mmlu": "mmlu/test/anatomy_test.csv",
    "arc": "arc-challenge/arc_challenge.json",
    "openbookqa": "openbookqa/OpenBookQA-test.jsonl",
    "selfaware": "selfaware/SelfAware.json",
    "squad2": "squad2-dev/dev-v2.0.json",
    "truthfulqa": "truthfulqa/TruthfulQA.csv",
    "truthfulqa_mc": "truthfulqa/mc_task.json",
    "mintaka": "mintaka-dev/mintaka_dev.json",
    "umwp": "umwp/StandardDataset.jsonl",
    "liedetector": "liedetector-facts/questions_1000_all.json",
    "known_1000": "liedetector-facts/known_1000.json",
    "open_trivia_qa": "open-trivia-qa/animals",
}
# MMLU and OpenTriviaQA have no columns, the latter no one encoding; a compressed file is damaged as a whole.
CASES = [(setting, kind) for setting in FILES for kind in ("torn", "encoding", "column")]
LEFT_OUT = {("mmlu", "column"), ("open_trivia_qa", "column"), ("open_trivia_qa", "encoding"), ("nq_open_oracle", "column")}


@pytest.mark.parametrize(("setting", "kind"), [case for case in CASES if case not in LEFT_OUT])
def test_a_damaged_file_is_told_in_one_line(setting: str, kind: str, shared_data: Path, tmp_path: Path) -> None:
    """Torn, in another encoding, or with another column: the message names the file, and nothing else is raised."""
    original = shared_data / FILES[setting]
    if not original.is_file():
        pytest.skip(f"{original} is absent")
    copy = tmp_path / original.name
    copy.write_bytes(damage(original.read_bytes(), kind))

    with pytest.raises(DataError) as caught:
        load_questions(copy, setting=setting)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    if kind == "column":
        assert "unknown column" in str(caught.value)


def test_entities_need_the_templates(shared_data: Path, tmp_path: Path) -> None:
    """Without their file, questions are grouped by their words."""
    copy = tmp_path / "P106.dev.json"
    shutil.copyfile(find_data(shared_data, "entityquestions") / "dev" / copy.name, copy)

    assert load_questions(copy, setting="entityquestions", limit=1)[0].group.startswith("question-")
