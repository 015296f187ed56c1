"""The whole line on a tiny model: it skips what is done, survives kills, and refuses what cannot become a result."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import nescio
from nescio.errors import ConfigError, DataError, ModelError, NescioError, StoreError
from nescio.models.tiny import make_tiny_model
from nescio.pipeline import STAGES, newest_report, run_line, score_predictions
from nescio.records import Prediction
from nescio.run_folder import Run
from nescio.store import read_json, read_records, sha256_of_file, write_records
from small_run import SIZES, Recorder, make_data, make_row, read_scorecard, small_config, small_content

PREDICT = ["predict/base", "predict/few_shot", "predict/tuned"]
ALL = ["data", "train", *PREDICT, "grade", "calibrate", "evaluate", "report"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model and a data folder."""
    root = tmp_path_factory.mktemp("world")
    return make_tiny_model(root / "model"), make_data(root / "data")


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A run that went through undisturbed; read-only."""
    out = tmp_path_factory.mktemp("finished") / "run"
    return run_line(small_config(*world, out))


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, to go on with."""
    return shutil.copytree(finished, tmp_path / "run")


def run_again(world, out, *, until="report", **sections):
    """Run with some keys changed; tells which stages worked."""
    recorder = Recorder()
    run_line(small_config(*world, out, **sections), until=until, progress=recorder)
    return recorder


def results(folder):
    """Bytes of every file that must not depend on when and where a run was made."""
    kept = ("data/", "predictions/", "grades/", "adapter/adapter", "calibrate.json", "scorecard.json", "train.json")
    files = {str(path.relative_to(folder)): path for path in Path(folder).rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.startswith(kept)}


def leftovers(folder):
    """Hidden files and folders of unfinished work."""
    return [str(path.relative_to(folder)) for path in Path(folder).rglob(".*") if path.name != ".lock"]


def test_whole_line_leaves_every_file_and_no_scratch(finished):
    """Each stage's files are there; checkpoints and partial predictions are gone."""
    expected = [
        *(f"data/{split}.jsonl" for split in SIZES),
        *(f"{kind}/{system}.{split}.jsonl" for kind in ("predictions", "grades") for system in ("base", "few_shot", "tuned")
          for split in ("calibration", "test")),
        *("adapter/adapter_model.safetensors", "adapter/README.md", "adapter/calibration.json"),
        *("train.json", "calibrate.json", "scorecard.json"),
        *("report/index.html", "config.json", "manifest.json"),
    ]  # fmt: skip

    assert [name for name in expected if not (finished / name).is_file()] == []
    assert leftovers(finished) == []


def test_predictions_cover_every_question_of_two_splits(finished):
    """Every system answers both splits, in the order of the data."""
    for split in ("calibration", "test"):
        ids = [json.loads(line)["id"] for line in (finished / "data" / f"{split}.jsonl").read_text().splitlines()]
        for system in ("base", "few_shot", "tuned"):
            rows = read_records(finished / "predictions" / f"{system}.{split}.jsonl", Prediction)

            assert [row.id for row in rows] == ids
            assert all(row.failure is None for row in rows)


def test_scorecard_and_card_speak_of_the_tuned_system(finished):
    """The scorecard compares tuned with the others; the adapter's card holds base model, seed, commit and versions."""
    scorecard = read_scorecard(finished)
    card = (finished / "adapter" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])

    assert list(scorecard["systems"]) == ["base", "few_shot", "tuned"]
    assert list(scorecard["paired"]) == ["tuned-base", "tuned-few_shot"]
    assert scorecard["systems"]["tuned"]["counts"]["items"] == 8
    assert front["base_model"].endswith("model")
    assert "| seed | 0 |" in card
    assert "| learning rate | 0.05 |" in card
    assert f"nescio {nescio.__version__}" in card
    assert "12 for train, 8 for calibration, 8 for test" in card


def test_manifest_tells_how_the_run_was_made(finished, world):
    """Versions, seed, commit, sha256 of the inputs, and seconds and peak memory of each stage."""
    manifest = read_json(finished / "manifest.json")

    assert list(manifest["stages"]) == ALL
    assert manifest["seed"] == 0
    assert {"python", "nescio", "torch", "transformers", "trl", "peft"} <= set(manifest["versions"])
    assert manifest["commit"] is None or len(manifest["commit"].removesuffix("+")) == 40
    assert manifest["stages"]["data"]["inputs"]["files"]["test.jsonl"] == sha256_of_file(world[1] / "test.jsonl")
    assert manifest["stages"]["train"]["inputs"]["rows"] == sha256_of_file(finished / "data" / "train.jsonl")
    assert manifest["stages"]["evaluate"]["outputs"] == {"scorecard.json": sha256_of_file(finished / "scorecard.json")}
    for stage in manifest["stages"].values():
        assert stage["seconds"] >= 0
        assert stage["peak_memory_mib"] > 10


def test_second_run_skips_every_stage_and_says_so(world, copied):
    """Nothing is computed and no result is written again."""
    run_again(world, copied)  # the copy lies elsewhere, which the report shows
    times = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.name not in (".lock", "config.json")}
    recorder = run_again(world, copied)

    assert recorder.skipped == ALL
    assert recorder.begun == []
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_other_prediction_settings_rerun_predict_and_what_follows(world, copied):
    """Data and adapter are kept; the answers, and all that rests on them, are made anew."""
    recorder = run_again(world, copied, predict={"max_answer_chars": 9})

    assert recorder.begun == [*PREDICT, "grade", "calibrate", "evaluate", "report"]
    assert recorder.skipped == ["data", "train"]


def test_other_training_settings_leave_base_and_few_shot_alone(world, copied):
    """Only the tuned system is predicted anew."""
    recorder = run_again(world, copied, until="evaluate", train={"learning_rate": 0.04})

    assert recorder.begun == ["train", "predict/tuned", "grade", "calibrate", "evaluate"]
    assert recorder.skipped == ["data", "predict/base", "predict/few_shot"]


def test_settings_without_effect_on_results_do_not_rerun_training(world, copied):
    """How often checkpoints are written changes no weight; only the report, which shows the settings, is written again."""
    assert run_again(world, copied, train={"save_steps": 7}).begun == ["report"]


@pytest.mark.parametrize(
    ("section", "values", "begun"),
    [
        ("calibrate", {"methods": ["platt"]}, ["calibrate", "evaluate"]),
        ("evaluate", {"bins": 5}, ["evaluate"]),
        ("report", {"title": "Another title"}, []),
        ("predict", {"shots": 3}, ["predict/few_shot", "grade", "calibrate", "evaluate"]),
    ],
)
def test_a_changed_section_reruns_from_its_stage_on(world, copied, section, values, begun):
    """Each section belongs to one stage; those before it are skipped."""
    recorder = run_again(world, copied, until="evaluate", **{section: values})

    # Two methods leave the same calibrator where nothing could be fitted; evaluate then has nothing new to say.
    assert recorder.begun == [stage for stage in begun if (section, stage) != ("calibrate", "evaluate")]


def test_worked_example_with_another_text_reruns_few_shot(world, copied, tmp_path):
    """The few-shot system depends on the shots' texts, not only on their ids."""
    data = shutil.copytree(world[1], tmp_path / "data")
    rows = [json.loads(line) | {"justification": "So it is."} for line in (data / "train.jsonl").read_text().splitlines()]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorder = run_again((world[0], data), copied, until="predict", predict={"systems": ["base", "few_shot"]})

    assert recorder.begun == ["data", "predict/few_shot"]
    assert recorder.skipped == ["predict/base"]


def test_other_weights_of_the_same_size_are_another_model(world, tmp_path):
    """A model folder whose weights changed, but neither name nor size, is predicted with anew."""
    folder, base = shutil.copytree(world[0], tmp_path / "model"), {"systems": ["base"]}
    run_again((folder, world[1]), tmp_path / "run", until="predict", predict=base)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    recorder = run_again((folder, world[1]), tmp_path / "run", until="predict", predict=base)

    assert recorder.begun == ["predict/base"]


def test_deleted_or_edited_output_is_made_again(world, copied):
    """A stage counts as done only while its files are as it left them."""
    (copied / "scorecard.json").unlink()
    (copied / "adapter" / "README.md").unlink()
    with (copied / "grades" / "base.test.jsonl").open("a") as file:
        file.write("\n")
    recorder = run_again(world, copied)

    assert recorder.begun == ["grade", "evaluate", "report"]
    assert (copied / "adapter" / "README.md").is_file()


def test_two_runs_are_identical(world, finished, tmp_path):
    """Data, adapter, predictions, grades, calibrators and scorecard of two runs agree to the byte."""
    again = run_line(small_config(*world, tmp_path / "again"), until="evaluate")

    assert results(again) == results(finished)
    assert len(results(again)) == 3 + 6 + 6 + 2 + 3  # splits, predictions, grades, adapter files, three JSON files


def test_a_run_without_the_tuned_system_trains_nothing(world, tmp_path):
    """There is no adapter, no card and no paired difference, but a report."""
    recorder = run_again(world, tmp_path / "run", predict={"systems": ["base"]})

    assert recorder.begun == ["data", "predict/base", "grade", "calibrate", "evaluate", "report"]
    assert not (tmp_path / "run" / "adapter").exists()
    assert read_scorecard(tmp_path / "run")["paired"] == {}


def test_an_adapter_of_another_run_decides_as_it_did_there(world, finished, tmp_path):
    """Nothing is trained, and the replies are the same; another model's adapter is refused."""
    model, data = world
    chosen = {"adapter": str(finished), "systems": ["tuned"]}
    folder = run_line(small_config(model, data, tmp_path / "run", predict=chosen))

    name = "predictions/tuned.test.jsonl"
    assert (folder / name).read_bytes() == (finished / name).read_bytes()
    assert not list(folder.glob(".checkpoints-*"))
    other = shutil.copytree(model, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"was trained with model\.name"):
        run_line(small_config(other, data, tmp_path / "run2", predict=chosen))


def test_line_stops_where_it_is_told(world, tmp_path):
    """`until` names the last stage; an unknown one is refused with the nearest name."""
    recorder = Recorder()
    run_line(small_config(*world, tmp_path / "run"), until="data", progress=recorder)

    assert recorder.begun == ["data"]
    with pytest.raises(ConfigError, match=r"unknown stage 'trian'. Did you mean 'train'"):
        run_line(small_config(*world, tmp_path / "run"), until="trian")
    assert STAGES[-1] == "report"


def test_leaking_split_is_refused_before_training(world, tmp_path):
    """A test question that training has under another name stops the run in the data stage."""
    data = make_data(tmp_path / "data")
    question = make_row("train", 0, "a")
    write_records(data / "test.jsonl", [make_row("test", 0, "a", question=question.question.upper(), context=question.context)])
    recorder = Recorder()
    with pytest.raises(DataError, match=r"leaking split: 'train-0-a' .* and 'test-0-a' .* ask the same question"):
        run_line(small_config(world[0], data, tmp_path / "run"), progress=recorder)

    assert recorder.begun == ["data"]
    assert not (tmp_path / "run" / "adapter").exists()


def test_question_longer_than_the_window_fails_alone(world, tmp_path):
    """A context of 3,000 characters in a window of 2,048 tokens is a failed item: counted, and the run goes on."""
    data = make_data(tmp_path / "data")
    rows = [make_row("test", number, side) for number in range(4) for side in ("a", "b")]
    rows[3] = make_row("test", 1, "b", context="a ripe apple, " * 215)
    write_records(data / "test.jsonl", rows)
    recorder = run_again((world[0], data), tmp_path / "run", predict={"systems": ["base"]})
    folder = tmp_path / "run"
    failed = [row for row in read_records(folder / "predictions" / "base.test.jsonl", Prediction) if row.decision is None]

    assert [row.id for row in failed] == ["test-1-b"]
    assert "window" in failed[0].failure
    assert recorder.notes["predict/base"].startswith("16 items, 1 failed")
    counts = read_scorecard(folder)["systems"]["base"]["counts"]
    assert (counts["items"], counts["failed"]) == (8, 1)
    assert (folder / "report" / "index.html").is_file()


def test_row_too_long_to_train_on_stops_the_run(world, tmp_path):
    """A training row above the limit is no failed item: it would teach half an answer."""
    with pytest.raises(NescioError, match=r"example 'train-0-a' has \d+ tokens, more than train.max_length=100"):
        run_line(small_config(*world, tmp_path / "run", train={"max_length": 100}))


def test_more_shots_than_rows_is_refused(world, tmp_path):
    """There are twelve training rows to take worked examples from."""
    config = small_config(*world, tmp_path / "run", predict={"shots": 13, "systems": ["few_shot"]})

    with pytest.raises(ConfigError, match=r"predict.shots=13, but the training split has only 12 rows"):
        run_line(config)


def test_unknown_model_is_refused_before_anything_is_written(world, tmp_path):
    """A name that can be no model costs no time."""
    with pytest.raises(ModelError, match=r"unknown model 'smollm2-153m'. Did you mean 'smollm2-135m'"):
        run_line(small_config("smollm2-153m", world[1], tmp_path / "run"))

    assert not (tmp_path / "run").exists()


def test_second_process_in_the_folder_is_refused(world, copied):
    """Two runs would write over each other; the second one stops at once and leaves the first alone."""
    config = small_config(*world, copied)
    message = r"another process is at work in '.*run'; wait for it"
    with Run(config, Recorder()).locked(), pytest.raises(StoreError, match=message):
        run_line(config)

    run_line(config, until="data")  # the lock went with its holder


def test_run_folder_that_cannot_be_made_is_one_line(world, tmp_path):
    """A file where the run folder should be is the user's to move away."""
    (tmp_path / "taken").write_text("not a folder")

    with pytest.raises(StoreError, match=r"failed while opening .*taken.*: (Not a directory|File exists)"):
        run_line(small_config(*world, tmp_path / "taken" / "run"))


@pytest.mark.parametrize("file", ["predictions/tuned.test.jsonl", "scorecard.json"])
def test_full_disk_stops_the_run_and_leaves_nothing_half_written(world, finished, copied, monkeypatch, file):
    """The disk fills up while one stage writes: one line, no scratch, and the same command ends as if nothing had been."""
    (copied / file).unlink()
    replace = os.replace

    def fail(source, target, **options):
        if str(target) == str(copied / file):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(source, target, **options)

    with (
        monkeypatch.context() as broken,
        pytest.raises(StoreError, match=r"no disk space left while writing .*; free some space"),
    ):
        broken.setattr(os, "replace", fail)
        run_again(world, copied, until="evaluate")
    assert [name for name in leftovers(copied) if name.endswith(".part")] == []
    run_again(world, copied, until="evaluate")

    assert results(copied) == results(finished)
    assert leftovers(copied) == []


def test_what_a_killed_process_left_is_swept_up(world, copied):
    """Half-written files and checkpoints of other settings go; the results stay."""
    (copied / "grades" / ".base.test.jsonl.x1y2.part").write_text("{")
    (copied / ".checkpoints-0123456789abcdef").mkdir()
    (copied / "predictions" / ".tuned-0123456789abcdef.jsonl").write_text("")
    run_again(world, copied, until="predict", train={"learning_rate": 0.04})

    assert leftovers(copied) == []


def interrupt(command, reached, *, limit_s=120):
    """Start a process and kill it, with no chance to clean up, as soon as `reached` says so."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + limit_s
    while not reached():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_three_times_the_run_ends_as_if_undisturbed(world, tmp_path):
    """SIGKILL in train, in predict and in evaluate or report; the same command then ends with the same bytes."""
    slow = {"train": {"batch_size": 1, "epochs": 2}, "predict": {"batch_size": 2}, "evaluate": {"resamples": 400}}
    content = small_content(*world, tmp_path / "killed")
    for section, values in slow.items():
        content[section] |= values
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
    arguments = ["run", str(tmp_path / "run.yaml")]
    command = [sys.executable, "-c", f"from nescio.cli import main; main({arguments!r})"]
    killed = tmp_path / "killed"

    interrupt(command, lambda: any(killed.glob(".checkpoints-*/checkpoint-2/trainer_state.json")))
    assert not (killed / "adapter").exists()
    # Two rows at a time make chunks of eight: the first of two chunks is on disk.
    interrupt(command, lambda: any(killed.glob("predictions/.tuned-*.jsonl")))
    assert not (killed / "predictions" / "tuned.test.jsonl").exists()
    interrupt(command, (killed / "calibrate.json").exists)
    assert not (killed / "report" / "index.html").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    straight = run_line(small_config(*world, tmp_path / "straight", **slow))

    assert results(killed) == results(straight)
    assert leftovers(killed) == []
    assert "unchanged, skipped" in done.stderr


@pytest.mark.slow
def test_a_distributed_launch_trains_together_and_does_the_rest_once(world, tmp_path):
    """Two processes end with one whole run; the same command again finds nothing to do, and neither waits for the other."""
    run_file = tmp_path / "small.json"
    run_file.write_text(json.dumps(small_content(*world, tmp_path / "runs")))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for sentence in ("12 rows, final loss", "unchanged, skipped"):
        done = subprocess.run(
            [*launch, "-m", "nescio", "run", str(run_file)], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        assert sum(line.startswith("train ") and sentence in line for line in done.stderr.splitlines()) == 1, done.stderr
        assert done.stdout.count("test items") == 1
    # Twelve rows in batches of four, shared by two processes.
    assert len(read_json(tmp_path / "runs" / "train.json")["steps"]) == 2


def test_newest_report_is_the_one_written_last(tmp_path):
    """Time of writing decides, not the name; without any report there is one line that says how to get one."""
    with pytest.raises(DataError, match=r"no report below .*; run `nescio run configs/quickstart.yaml` first"):
        newest_report(tmp_path)
    for name, seconds in (("a", 20), ("b", 10)):
        page = tmp_path / name / "report" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("")
        os.utime(page, (seconds, seconds))

    assert newest_report(tmp_path) == tmp_path / "a" / "report" / "index.html"


def test_predictions_of_any_system_are_scored(world, tmp_path):
    """Decisions alone are enough: what was not given is counted, what was is scored."""
    rows = [json.loads(line) for line in (world[1] / "test.jsonl").read_text().splitlines()]
    said = [{"id": row["id"], "decision": row["decision"], "answer": row["answer"]} for row in reversed(rows)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    out = score_predictions(tmp_path / "mine.jsonl", data=str(world[1]), split="test", out=tmp_path / "scorecard.json")
    entry = json.loads(out.read_text())["systems"]["mine"]

    assert entry["decision_accuracy"]["value"] == 1.0
    assert entry["counts"]["without_confidence"] == 8


def test_predictions_of_other_questions_are_refused(world, tmp_path):
    """A missing question and an unknown split are named."""
    rows = [json.loads(line) for line in (world[1] / "test.jsonl").read_text().splitlines()]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps({"id": row["id"], "decision": "refuse"}) + "\n" for row in rows[1:]))

    with pytest.raises(DataError, match="its ids are not those of the examples; the first difference is 'test-0-a'"):
        score_predictions(tmp_path / "mine.jsonl", data=str(world[1]), split="test", out=tmp_path / "out.json")
    with pytest.raises(ConfigError, match=r"unknown split 'tset'. Did you mean 'test'"):
        score_predictions(tmp_path / "mine.jsonl", data=str(world[1]), split="tset", out=tmp_path / "out.json")


def test_a_decision_run_promises_a_threshold_where_it_is_asked_to(world, finished, copied):
    """With calibrate.max_risk each system has a threshold, or the reason why so few questions can promise none."""
    assert not (finished / "thresholds.json").exists()
    recorder = run_again(world, copied, until="calibrate", calibrate={"max_risk": 0.1})

    promised = read_json(copied / "thresholds.json")
    assert "calibrate" not in recorder.skipped
    assert set(promised) == {"base", "few_shot", "tuned"}
    assert all(one["max_risk"] == 0.1 and (one["threshold"] is None) == (one["reason"] is not None) for one in promised.values())
