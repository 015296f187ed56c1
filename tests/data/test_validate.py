from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score

from nescio.data.load import find_folder
from nescio.data.validate import normalised_mutual_information, validate_files
from nescio.errors import DataError
from nescio.records import Example
from nescio.store import write_records

Make = Callable[..., Example]
LONG = "Which of the seven harbours on the northern coast was the last to be closed for the winter"


def alpaca(question: str, decision: str = "correct", evidence: str = "high", instruction: str = "Answer.") -> dict[str, str]:
    """An alpaca row."""
    reply = {"decision": decision, "answer": "A.", "justification": "J.", "evidence_quality": evidence}
    return {"instruction": instruction, "input": question, "output": json.dumps(reply)}


def errors(*paths: Path) -> list[str]:
    """Messages of the errors in a data set."""
    return [problem.message for problem in validate_files(paths).problems if problem.severity == "error"]


def warnings(*paths: Path) -> list[str]:
    """Messages of the warnings about a data set."""
    return [problem.message for problem in validate_files(paths).problems if problem.severity == "warning"]


def test_a_clean_set_has_counts_and_no_errors(tmp_path: Path, make_example: Make) -> None:
    """Files, decisions, patterns and evidence are counted."""
    write_records(tmp_path / "train.jsonl", [make_example("a-a"), make_example("a-b", decision="refuse", evidence_quality="low")])
    write_records(tmp_path / "test.jsonl", [make_example("b-a", pattern="harmful_request")])
    report = validate_files([tmp_path])

    assert report.ok
    assert [(Path(file.path).name, file.rows, file.distinct) for file in report.files] == [
        ("train.jsonl", 2, 2),
        ("test.jsonl", 1, 1),
    ]
    assert report.decisions == {"correct": 2, "uncertain": 0, "refuse": 1}
    assert report.patterns == {
        "false_premise": {"correct": 1, "uncertain": 0, "refuse": 1},
        "harmful_request": {"correct": 1, "uncertain": 0, "refuse": 0},
    }
    assert list(report.evidence) == ["high", "low"]
    assert report.evidence["low"] == {"correct": 0, "uncertain": 0, "refuse": 1}


def test_every_faulty_line_is_reported_and_the_rest_is_read(tmp_path: Path, make_example: Make) -> None:
    """A fault has its file and line, and does not hide the next one."""
    good = make_example("a-a").model_dump_json()
    bad = json.dumps(json.loads(good) | {"id": "a-b", "answers": []})
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join([good.encode(), b"{torn", b"", b"\xff", bad.encode(), b"[]"]))

    assert errors(path) == [
        f"{path}:2: not a whole JSON object (Expecting property name enclosed in double quotes)",
        f"{path}:4: not valid UTF-8 at byte 0 of the line",
        f"{path}:5: answers must hold at least one gold alias where the decision is 'correct'",
        f"{path}:6: Input should be a valid dictionary or instance of Example",
    ]
    assert validate_files([path]).files[0].rows == 1


def test_rows_of_an_array_are_named_by_their_line(tmp_path: Path) -> None:
    """In a JSON array a fault is reported at the line where its row begins."""
    rows = [alpaca("One?"), alpaca("Two?", decision="maybe"), {"instruction": "Answer.", "output": "yes"}]
    path = tmp_path / "train.json"
    # Indented, each row of three keys takes five lines: they begin in lines 2, 7 and 12.
    path.write_text(json.dumps(rows, indent=2))

    assert errors(path) == [
        f"{path}:7: output: decision: Input should be 'correct', 'uncertain' or 'refuse'",
        f"{path}:12: output: not a JSON reply (Expecting value)",
    ]


@pytest.mark.parametrize("tail", ["", ",", " {}]", ", nul]"])
def test_an_array_that_breaks_off_is_an_error(tmp_path: Path, tail: str) -> None:
    """What was read before the fault counts, and the fault is reported once."""
    path = tmp_path / "train.json"
    path.write_text("[\n" + json.dumps(alpaca("One?")) + tail)

    assert len(errors(path)) == 1
    assert f"{path}:2: " in errors(path)[0]
    assert validate_files([path]).files[0].rows == 1


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: str) -> None:
    """Nothing to check is not a clean set."""
    path = tmp_path / "train.json"
    path.write_text(content)

    assert errors(path) == [f"{path}: no row can be read"]


def test_a_path_that_cannot_be_read_is_an_error_of_the_run(tmp_path: Path) -> None:
    """A missing file and a folder without splits raise."""
    with pytest.raises(DataError, match="does not exist"):
        validate_files([tmp_path / "absent.jsonl"])
    with pytest.raises(DataError, match="holds no split"):
        validate_files([tmp_path])


def test_ids_and_groups_must_not_repeat_across_files(tmp_path: Path, make_example: Make) -> None:
    """A repeated id and a group in two files are errors with both places."""
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    write_records(train, [make_example("a-a"), make_example("b-a")])
    write_records(test, [make_example("a-b", question="Who ate the apple?"), make_example("b-a", question="Who met Ann?")])

    assert errors(tmp_path) == [
        f"{test}:2: id 'b-a' was already used in {train}:2",
        f"group 'a' crosses splits: {train}:1, {test}:1; keep its rows in one file",
        f"group 'b' crosses splits: {train}:2, {test}:2; keep its rows in one file",
    ]


def test_an_exact_repeat_within_a_file_is_an_error_and_a_near_one_is_not(tmp_path: Path, make_example: Make) -> None:
    """Twins are nearly the same on purpose; the same question twice never is."""
    path = tmp_path / "train.jsonl"
    near = [make_example("a-a", question=f"{LONG}?"), make_example("a-b", question=f"{LONG}s?")]
    write_records(path, near)

    assert errors(path) == []

    write_records(path, [*near, make_example("b-a", question=f"{LONG.upper()} !")])

    assert errors(path) == [f"{path}:3: repeats the question of line 1; 1 of 3 rows are repeats"]


def test_leaks_are_charged_to_the_later_split(tmp_path: Path, make_example: Make) -> None:
    """Exact and near doubles across files are counted apart, whatever the order of the paths."""
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    write_records(train, [make_example("a-a", question="Who ate the apple?"), make_example("b-a", question=f"{LONG}?")])
    rows = [
        make_example("c-a", question=f"{LONG}s?"),
        make_example("d-a", question="who ate the apple"),
        make_example("e-a", question="Why?"),
    ]
    write_records(test, rows)
    (leak,) = validate_files([test, train]).leaks

    assert (leak.path, leak.earlier, leak.rows, leak.exact, leak.near) == (str(test), str(train), 3, 1, 1)
    assert (leak.line, leak.earlier_line) == (1, 2)
    assert errors(test, train) == [f"{test}:1: asks the question of {train}:2; 2 of 3 rows leak (1 exact, 1 near)"]


def test_a_shared_instruction_is_not_part_of_an_alpaca_question(tmp_path: Path) -> None:
    """A task stated in every row does not make questions alike; one that differs between rows is the question."""
    task = "Answer the question responsibly. Decide whether to answer, express uncertainty, or refuse to answer it."
    (tmp_path / "train.json").write_text(
        json.dumps([alpaca("Who won?", instruction=task), alpaca("Who lost?", instruction=task)])
    )
    (tmp_path / "test.json").write_text(json.dumps([alpaca("", instruction="Who won?"), alpaca("", instruction="Who ran?")]))
    report = validate_files([tmp_path])

    assert [file.distinct for file in report.files] == [2, 2]
    assert [(leak.exact, leak.near) for leak in report.leaks] == [(1, 0)]


def balanced(make_example: Make, rows: int, *, same: bool) -> list[Example]:
    """Rows whose evidence quality equals the decision, or is independent of it."""
    decisions, qualities = ("correct", "uncertain", "refuse"), ("high", "medium", "low")
    return [
        make_example(
            f"{n}-a", question=f"{n * 7919}?", decision=decisions[n % 3], evidence_quality=qualities[(n if same else n // 3) % 3]
        )
        for n in range(rows)
    ]


def test_evidence_that_repeats_the_decision_is_an_error(tmp_path: Path, make_example: Make) -> None:
    """At full dependence the set is refused, at none it passes; below 30 rows it is only a warning."""
    path = tmp_path / "train.jsonl"
    write_records(path, balanced(make_example, 36, same=True))
    assert [message[:37] for message in errors(path)] == ["evidence quality follows the decision"]

    write_records(path, balanced(make_example, 36, same=False))
    assert (errors(path), warnings(path)) == ([], [])
    assert validate_files([path]).evidence_nmi == 0.0

    write_records(path, balanced(make_example, 27, same=True))
    assert errors(path) == []
    assert len(warnings(path)) == 1


def test_evidence_of_alpaca_files_only_warns(tmp_path: Path) -> None:
    """Files that come from elsewhere are not refused for their evidence labels."""
    path = tmp_path / "train.json"
    pairs = [("correct", "high"), ("uncertain", "medium"), ("refuse", "low")] * 12
    path.write_text(json.dumps([alpaca(f"{n * 7919}?", *pair) for n, pair in enumerate(pairs)]))

    assert errors(path) == []
    assert "normalised mutual information 1.00 > 0.6" in warnings(path)[0]


@pytest.mark.parametrize(
    ("rows", "counts", "faults"),
    [
        (300, (135, 90, 75), (0, 0)),  # 45 %, 30 % and 25 %: the limits themselves pass
        (300, (136, 90, 74), (2, 0)),  # 45.3 % and 24.7 %
        (299, (150, 75, 74), (0, 2)),  # too few rows to refuse: 50.2 % and 24.7 %
    ],
)
def test_decisions_must_be_balanced_in_a_large_set(
    tmp_path: Path, make_example: Make, rows: int, counts: tuple[int, ...], faults: tuple[int, int]
) -> None:
    """Shares from 25 % to 45 % pass; outside, sets of 300 rows are refused and smaller ones warned about."""
    decisions = [
        decision for decision, count in zip(("correct", "uncertain", "refuse"), counts, strict=True) for _ in range(count)
    ]
    path = tmp_path / "train.jsonl"
    write_records(
        path,
        [
            make_example(f"{n}-a", question=f"{n * 7919}?", decision=decision, evidence_quality=("high", "low")[n % 2])
            for n, decision in enumerate(decisions)
        ],
    )

    assert len(decisions) == rows
    assert (len(errors(path)), len(warnings(path))) == faults


def test_mutual_information_of_a_hand_computed_table() -> None:
    """Two labels that agree in three of four rows."""
    # Rows (x, y): (0, 0) (0, 0) (1, 1) (1, 0). I = 1/2 ln(0.5 / (0.5 * 0.75)) + 1/4 ln(0.25 / (0.5 * 0.25)) +
    # 1/4 ln(0.25 / (0.5 * 0.75)); H(x) = ln 2; H(y) = -(3/4 ln 3/4 + 1/4 ln 1/4).
    information = 0.5 * math.log(4 / 3) + 0.25 * math.log(2) + 0.25 * math.log(2 / 3)
    entropies = math.log(2) * -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))

    assert normalised_mutual_information([("0", "0"), ("0", "0"), ("1", "1"), ("1", "0")]) == pytest.approx(
        information / math.sqrt(entropies)
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=2, max_size=40))
def test_mutual_information_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """Wherever both labels vary, the value is scikit-learn's with the geometric mean; else it is undefined."""
    left, right = zip(*pairs, strict=True)
    expected = (
        pytest.approx(normalized_mutual_info_score(left, right, average_method="geometric"), abs=1e-9)
        if min(len(set(left)), len(set(right))) > 1
        else None
    )

    assert normalised_mutual_information(pairs) == expected


def test_the_original_failure_aware_set_leaks(shared_data: Path) -> None:
    """The set that this project set out to mend has 59 distinct questions of 350, and 73 of 75 rows leak twice over."""
    folder = shared_data / "seed-failure-aware"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    report = validate_files([folder])
    train, val, test = report.files
    by_pair = {(Path(leak.path).stem, Path(leak.earlier).stem): leak for leak in report.leaks}

    assert (train.rows, train.distinct) == (350, 59)
    assert (val.rows, test.rows) == (75, 75)
    assert by_pair["val", "train"].exact == by_pair["test", "train"].exact == 73
    assert not report.ok


def test_the_shipped_set_is_valid() -> None:
    """The set inside the package passes its own validation without a warning."""
    folder = find_folder("failure_aware")
    if not (folder / "train.jsonl").is_file():
        pytest.skip("the data files are not in this checkout")

    assert validate_files([folder]).problems == ()
