"""`nescio sample` as users see it."""

import pytest

from honesty_world import make_opinionated_model, make_question
from nescio.cli import main
from nescio.records import Sample
from nescio.store import read_records, write_records


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random model."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    make_opinionated_model(folder)
    return str(folder)


@pytest.fixture
def questions(tmp_path):
    """Three open questions and one of multiple choice."""
    rows = [make_question(f"q{n}", answers=["x"]) for n in range(3)]
    write_records(tmp_path / "questions.jsonl", [*rows, make_question("choice", choices=["red", "blue"], choice=0)])
    return tmp_path / "questions.jsonl"


def run(questions, model, *options, out="samples.jsonl", store="store"):
    """Exit code of the command; where its samples go."""
    path = questions.parent / out
    arguments = ["sample", str(questions), "--out", str(path), "--model", model, "--max-new-tokens", "4", "--dtype", "float32"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--shots", "1", "--store", str(questions.parent / store), *options])
    return int(stop.value.code or 0), path


def test_samples_are_written_in_order_and_counted(questions, model, capsys):
    """The greedy one and two drawn ones a question; the file is named last."""
    code, path = run(questions, model, "--n", "2")
    samples = read_records(path, Sample)
    printed = capsys.readouterr()

    assert code == 0
    assert [(s.question_id, s.index) for s in samples] == [(id, i) for id in ("q0", "q1", "q2", "choice") for i in range(3)]
    assert {sample.text for sample in samples if sample.question_id == "choice"} <= {"A", "B"}
    assert "12 samples of 4 questions" in printed.err
    assert printed.out.splitlines()[-1] == str(path)


def test_batches_do_not_change_samples_and_a_second_run_draws_nothing(questions, model):
    """Alone or together, in a fresh store; then from the store, whatever its number."""
    _, first = run(questions, model, "--n", "2")
    code, second = run(questions, model, "--n", "2", "--batch-size", "1", "--batch-questions", "1", out="b.jsonl", store="other")
    assert code == 0
    before = sorted(path.name for path in (questions.parent / "store").rglob("part-*"))
    _, third = run(questions, model, "--n", "1", "--no-greedy", out="c.jsonl")

    assert first.read_bytes() == second.read_bytes()
    assert read_records(third, Sample) == [sample for sample in read_records(first, Sample) if sample.index == 1]
    assert sorted(path.name for path in (questions.parent / "store").rglob("part-*")) == before


def test_adaptive_samples_are_some_of_all_and_what_it_saved_is_told(questions, model, capsys):
    """No open answer is right: the more there are, the surer that is, and the last ones are not drawn."""
    _, every = run(questions, model, "--n", "12")
    capsys.readouterr()
    code, path = run(questions, model, "--n", "12", "--adaptive", "--border", "0.9", out="adaptive.jsonl")
    drawn, saved = read_records(path, Sample), capsys.readouterr().err

    assert code == 0
    assert {(s.question_id, s.index, s.text) for s in drawn} < {
        (s.question_id, s.index, s.text) for s in read_records(every, Sample)
    }
    assert f"{len(drawn) - 4} samples drawn, {52 - len(drawn)} of 48 saved" in saved


def test_samples_of_another_tool_are_taken_over(questions, model, capsys):
    """Nothing is drawn, and no model is loaded."""
    rows = [Sample(question_id="q1", index=0, text="Ada"), Sample(question_id="q1", index=1, text="Bob")]
    write_records(questions.parent / "theirs.jsonl", rows)
    code, path = run(questions, "no-such-model", "--import", str(questions.parent / "theirs.jsonl"))

    assert code == 0
    assert read_records(path, Sample) == rows
    assert "2 samples of 4 questions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "0"], "--temperature must be above 0 and finite, got 0.0"),
        (["--temperature", "inf"], "--temperature must be above 0 and finite, got inf"),
        (["--n", "0", "--no-greedy"], "n=0 without the greedy answer leaves nothing to draw"),
        (["--style", "chatty"], "unknown style 'chatty'. Did you mean 'chat'?"),
        (["--options", "numbers"], "unknown form of options 'numbers'"),
        (["--shots", "9"], "--shots 9, but there are only 5 worked examples"),
        (["--engine", "tensor"], "unknown engine 'tensor'"),
        (["--executor", "rai"], "unknown executor 'rai'. Did you mean 'ray'?"),
        (["--adaptive", "--rule", "wald"], "unknown rule 'wald'"),
        (["--adaptive", "--border", "1.5"], "1.5"),
        (["--import", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
        (["--model", "smollm2-153m"], "unknown model 'smollm2-153m'. Did you mean 'smollm2-135m'?"),
        (["--shots-from", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
    ],
)
def test_mistakes_are_one_line(questions, model, capsys, options, message):
    """Exit code 2, and nothing is written."""
    code, path = run(questions, model, *options)
    printed = capsys.readouterr().err

    assert code == 2
    assert message in printed
    assert printed.startswith("error: ")
    assert len(printed.splitlines()) == 1
    assert not path.exists()


def test_torn_questions_are_one_line(questions, model, capsys):
    """With file and line."""
    questions.write_text(questions.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    code, _ = run(questions, model)

    assert code == 2
    assert f"error: {questions}:4: not a whole JSON object" in capsys.readouterr().err
