"""The command line: what a user can mend is one line and exit code 2; every command stops at its stage."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import nescio
from nescio.cli import main
from nescio.models.tiny import make_tiny_model
from small_run import make_data, make_row, small_content


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model and a data folder."""
    root = tmp_path_factory.mktemp("world")
    return make_tiny_model(root / "model"), make_data(root / "data")


@pytest.fixture
def run_file(world, tmp_path):
    """A run file on a data folder of its own, so that a test may spoil it."""
    data = shutil.copytree(world[1], tmp_path / "data")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_content(world[0], data, tmp_path / "run")))
    return path


@pytest.fixture
def call(capsys):
    """Run a command; returns exit code, standard output and standard error."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return stopped.value.code or 0, output.out, output.err

    return run


def assert_one_line(result, *parts):
    """Exit code 2, nothing on standard output, one line on standard error that holds the parts."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for part in parts:
        assert part in err


def test_unknown_key_names_the_nearest(call, run_file):
    """A misspelt setting is answered with the right one, with the section that it belongs to."""
    assert_one_line(
        call("run", run_file, "--set", "train.learningrate=1"), "key in section 'train'", "Did you mean 'learning_rate'"
    )
    assert_one_line(call("run", run_file, "--set", "trian.epochs=1"), "unknown key 'trian'", "Did you mean 'train'")


@pytest.mark.parametrize("command", ["run", "train", "predict", "calibrate", "evaluate", "report"])
def test_missing_run_file_is_one_line(call, tmp_path, command):
    """Every stage's command says which file is missing."""
    assert_one_line(call(command, tmp_path / "absent.yaml"), "absent.yaml' does not exist", "configs/quickstart.yaml")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("train.epochs", "write it as section.key=value"),
        ("=3", "write it as section.key=value"),
        ("train.epochs=none", "train.epochs: input should be a valid number"),
        ("train.epochs=0", "train.epochs: input should be greater than 0, got 0"),
        ("train.epochs=.inf", "train.epochs: input should be a finite number, got inf"),
        ("train.epochs=[1", "cannot read the value of override 'train.epochs=[1'"),
        ("name.first=3", "'name' is not a section"),
        ("predict.systems=[bose]", "predict.systems.0: input should be 'base', 'few_shot' or 'tuned', got 'bose'"),
        ("train.packing='[/b]'", "got '[/b]'"),
    ],
)
def test_bad_override_is_one_line(call, run_file, override, part):
    """The message names the key and what was given, brackets included."""
    assert_one_line(call("run", run_file, "--set", override), part)


def test_unknown_model_is_one_line(call, run_file, tmp_path):
    """A model that cannot exist is named with its nearest relative, before any stage runs."""
    assert_one_line(call("run", run_file, "--set", "model.name=smollm"), "unknown model 'smollm'", "Did you mean 'smollm2-135m'")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(call("run", run_file, "--set", f"model.name={empty}"), "holds no model: config.json is missing")


def spoil(run_file, content):
    """Replace the test split's bytes."""
    (run_file.parent / "data" / "test.jsonl").write_bytes(content)


def line_of(number, side="a", **fields):
    """A row of the test split as a line."""
    return make_row("test", number, side, **fields).model_dump_json().encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (line_of(0) + line_of(1)[:40] + b"\n", "test.jsonl:2: not a whole JSON object"),
        (line_of(0) + line_of(1)[:40], "test.jsonl:2: not a whole JSON object"),
        (line_of(0) + line_of(1).replace(b"guest", b"g\xfcest"), "test.jsonl:2: not valid UTF-8 at byte"),
        (line_of(0) + line_of(1) + line_of(0), "test.jsonl:3: id 'test-0-a' was already used in line 1"),
        (
            line_of(0).replace(b'"high"', b'"splendid"'),
            "test.jsonl:1: evidence_quality: Input should be 'high', 'medium' or 'low'",
        ),
        (b"7\n", "test.jsonl:1: "),
        (b"", "test.jsonl' holds no rows"),
        (b"\n\n", "test.jsonl' holds no rows"),
    ],
)
def test_faulty_data_file_is_one_line_with_its_place(call, run_file, content, part):
    """Torn, non-UTF-8, repeated, out of schema or empty: file, line and what to do, before any model is loaded."""
    spoil(run_file, content)

    assert_one_line(call("run", run_file), part)
    assert not (run_file.parent / "run" / "adapter").exists()


def test_missing_split_is_one_line(call, run_file):
    """A folder without a test split is no data set."""
    (run_file.parent / "data" / "test.jsonl").unlink()

    assert_one_line(call("run", run_file), "lacks test.jsonl")


def test_commands_stop_at_their_stage_and_print_where_the_result_is(call, run_file):
    """Each command goes on from the one before; later files are not there yet."""
    run = run_file.parent / "run"
    made = {"train": "adapter", "predict": "predictions", "calibrate": "calibrate.json", "evaluate": "scorecard.json"}
    made["report"] = "report/index.html"
    commands = list(made)
    for number, command in enumerate(commands):
        code, out, err = call(command, run_file)

        assert code == 0, err
        assert out.endswith(f"{run / made[command]}\n")
        assert (run / made[command]).exists()
        assert [later for later in commands[number + 1 :] if (run / made[later]).exists()] == []
        assert number == 0 or "data               unchanged, skipped" in err
        if command == "evaluate":
            # Three systems and two differences fit into 80 characters: no word is cut or broken.
            assert all(word in out for word in ("decision accuracy", "false confidence rate", "tuned-few-shot"))
            assert "…" not in out


def test_run_prints_only_its_own_lines(call, run_file):
    """Two tables, two paths, and one line a stage: no bar, log or warning of another library."""
    options = ("--set", "predict.systems=[base, tuned]")
    code, out, err = call("run", run_file, *options)

    assert code == 0, err
    stages = ["data", "train", "predict/base", "predict/tuned", "grade", "calibrate", "evaluate", "report"]
    assert [line.split()[0] for line in err.splitlines()] == stages
    assert out.splitlines()[-2:] == [
        f"report:  {run_file.parent / 'run' / 'report' / 'index.html'}",
        f"adapter: {run_file.parent / 'run' / 'adapter'}",
    ]
    assert "8 test items, 95 % intervals" in out.splitlines()[0]
    assert "tuned-base" in out
    assert "few-shot" not in out


def test_a_run_without_the_tuned_system_names_no_adapter(call, run_file):
    """What was not made is not pointed at."""
    code, out, err = call("run", run_file, "--set", "predict.systems=[base]")

    assert code == 0, err
    assert "adapter:" not in out


def test_interrupted_run_says_how_to_go_on(call, run_file, monkeypatch):
    """Ctrl-C is no error: exit code 130 and one line."""

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("nescio.pipeline.run_line", interrupt)

    assert call("run", run_file) == (130, "", "stopped; the same command goes on from here\n")


def test_bugs_keep_their_traceback(run_file, monkeypatch):
    """Only what a user can mend is put in one line."""

    def fail(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("nescio.pipeline.run_line", fail)

    with pytest.raises(ZeroDivisionError):
        main(["run", str(run_file)])


def test_evaluate_scores_foreign_predictions(call, world, tmp_path):
    """`--predictions` needs no run: table and scorecard of whatever made the file."""
    rows = [json.loads(line) for line in (world[1] / "test.jsonl").read_text().splitlines()]
    said = [{"id": row["id"], "decision": "refuse", "confidence": 0.25} for row in rows]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    code, out, err = call("evaluate", "--predictions", tmp_path / "other.jsonl", "--data", world[1])
    entry = json.loads((tmp_path / "other.scorecard.json").read_text())["systems"]["other"]

    assert code == 0, err
    assert out.endswith("other.scorecard.json\n")
    assert "8 test items" in out
    assert entry["decision_accuracy"]["value"] == 0.25  # of four b rows two are to be refused: 2 / 8


def test_evaluate_takes_a_single_file_of_examples(call, world, tmp_path):
    """`--data` may be one JSONL file, and `--out` says where the scorecard goes."""
    examples = world[1] / "calibration.jsonl"
    rows = [json.loads(line) for line in examples.read_text().splitlines()]
    said = [{"id": row["id"], "decision": row["decision"], "answer": row["answer"]} for row in rows]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    code, _, err = call(
        *("evaluate", "--predictions", tmp_path / "other.jsonl"), *("--data", examples, "--out", tmp_path / "x" / "card.json")
    )

    assert code == 0, err
    assert json.loads((tmp_path / "x" / "card.json").read_text())["systems"]["other"]["decision_accuracy"]["value"] == 1.0


@pytest.mark.parametrize(
    "case",
    [
        ('{"id": "test-0-a", "decision": "refuse"}\n', (), "its ids are not those of the examples"),
        ('{"id": "test-0-a", "decision": "perhaps"}\n', (), "other.jsonl:1: decision: Input should be"),
        ('{"id": "test-0-a"}\n', (), "other.jsonl:1: decision: Field required"),
        ('{"id": "test-0-a", "decision": null}\n', (), "other.jsonl:1: a prediction needs either a decision or a failure"),
        ('{"id": "test-0-a", "decision": "refuse"}\n', ("--split", "tset"), "unknown split 'tset'"),
        ("", (), "other.jsonl' holds no rows"),
    ],
)
def test_faulty_foreign_predictions_are_one_line(call, world, tmp_path, case):
    """Wrong ids, wrong values and an unknown split are named: each case is a file, options and part of the message."""
    content, options, part = case
    (tmp_path / "other.jsonl").write_text(content)

    assert_one_line(call("evaluate", "--predictions", tmp_path / "other.jsonl", "--data", world[1], *options), part)


def test_evaluate_needs_one_source(call):
    """Neither a run file nor predictions is a usage error."""
    code, out, err = call("evaluate")

    assert (code, out) == (2, "")
    assert "give either a run file or --predictions FILE.jsonl" in " ".join(err.replace("│", " ").split())


def test_newest_report(call, tmp_path, monkeypatch):
    """Without runs there is one line that says how to make one; with runs, the path of the last page."""
    monkeypatch.chdir(tmp_path)
    assert_one_line(call("report", "--newest"), "no report below 'runs'", "nescio run configs/quickstart.yaml")
    page = tmp_path / "runs" / "quick" / "report" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")

    assert call("report", "--newest") == (0, "runs/quick/report/index.html\n", "")
    assert call("report") == (0, "runs/quick/report/index.html\n", "")


def test_version(call):
    """The version of the package."""
    assert call("--version") == (0, f"{nescio.__version__}\n", "")


def test_help_names_every_word_of_the_line(call):
    """A newcomer sees the stages' commands."""
    _, out, _ = call("--help")

    assert all(word in out for word in ("run", "data", "train", "predict", "calibrate", "evaluate", "report"))


def test_path_with_brackets_is_printed_as_it_is(call, run_file, tmp_path):
    """Rich's markup does not swallow parts of a path."""
    out_folder = Path(tmp_path / "[bold]run[/]")
    code, out, err = call("run", run_file, "--set", f'out="{out_folder}"', "--set", "predict.systems=[base]")

    assert code == 0, err
    assert str(out_folder / "report" / "index.html") in out
    assert str(out_folder / "report" / "index.html") in err
