"""The confidence line on a tiny model: every objective from questions to a scorecard, and nothing done twice."""

import json
import math
import re
import shutil

import pytest

from honesty_world import honesty_content, make_world
from nescio.config import parse_run_config
from nescio.errors import ConfigError, DataError, TrainingError
from nescio.models.tiny import make_tiny_model
from nescio.pipeline import CONFIDENCE_STAGES, run_line
from nescio.pipeline.confidence.files import method_name
from nescio.records import Confidence, ConfidenceOutcome, Sample, SampleGrade
from nescio.store import read_json, read_records, sha256_of_file, write_records
from small_run import Recorder, make_data

OBJECTIVES = {
    "none": {"objective": "none"},
    "lora_prompt": {"objective": "correctness"},
    "lora": {"objective": "correctness", "form": "lora"},
    "probe": {"objective": "correctness", "form": "probe"},
    "probe_in_one_pass": {"objective": "correctness", "form": "probe", "in_one_pass": True, "estimators": ["min_likelihood"]},
    "soft": {"objective": "correctness", "targets": "soft", "divergence_weight": 0.0},
    "p_ik": {"objective": "p_ik"},
    "p_ik_probe": {"objective": "p_ik", "form": "probe", "layer": 1},
    "conftuner": {"objective": "conftuner", "divergence": "forward_kl"},
    "verbalised": {"objective": "verbalised"},
    "joint": {"objective": "joint", "estimators": []},
    "mixed": {
        "objective": "none",
        "estimators": ["min_likelihood", "p_true", "p_true_few_shot", "self_probing", "mean_token_entropy", "relative"],
        "mixes": ["logistic", "boosting"],
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model and files of questions; its samples are shared."""
    return make_world(tmp_path_factory.mktemp("world"))


def confidence_config(world, out, **sections):
    """The run file, with keys of some sections replaced."""
    content = honesty_content(world, out)
    for unused in ("label", "predict"):
        del content[unused]
    content["questions"]["in_distribution"] = ["own"]
    content["confidence"] = {"estimators": ["mean_likelihood", "sample_agreement"]}
    content["train"] |= {"batch_size": 4}
    for section, values in sections.items():
        content[section] = content.get(section, {}) | values if isinstance(values, dict) else values
    return parse_run_config(content)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A run that went through undisturbed; read-only."""
    return run_line(confidence_config(world, tmp_path_factory.mktemp("finished") / "run"))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_runs_to_a_scorecard(world, tmp_path, name):
    """Each way to train states a confidence, or says why not, for every calibration and test question, and is scored."""
    config = confidence_config(world, tmp_path / "run", confidence=OBJECTIVES[name])
    folder = run_line(config, until="evaluate")

    scorecard = read_json(folder / "scorecard.json")
    own = method_name(config.confidence)
    assert scorecard["method"] == own
    told = scorecard["places"]["in_distribution"]["methods"]
    mixes = {f"mix_{kind}" for kind in config.confidence.mixes}
    assert {own, "constant", *config.confidence.estimators, *mixes} == set(told)
    assert set(config.confidence.estimators) <= read_json(folder / "costs.json").keys()
    rows = read_records(folder / "confidences" / "test.own.jsonl", Confidence)
    asked = (folder / "data" / "test.own.jsonl").read_text().count("\n")
    assert sum(row.method == own for row in rows) == asked
    assert all((row.confidence is None) == (row.reason is not None) for row in rows)
    if name == "none":
        assert not (folder / "adapter").exists()


def test_nothing_is_done_twice(world, finished):
    """A second run skips every stage and leaves every file as it was."""
    before = {path: path.read_bytes() for path in finished.rglob("*.json*")}
    seen = Recorder()
    run_line(confidence_config(world, finished), progress=seen)

    assert seen.skipped == list(CONFIDENCE_STAGES)
    assert before == {path: path.read_bytes() for path in finished.rglob("*.json*")}


def test_the_same_run_file_gives_the_same_numbers(world, finished, tmp_path):
    """Training included: the confidences of a second run in another folder are the same bytes."""
    again = run_line(confidence_config(world, tmp_path / "run"), until="evaluate")

    for name in ("confidences/test.far.jsonl", "calibrate.json", "thresholds.json", "outcomes/own.jsonl"):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name


def test_the_constant_is_the_calibration_share_and_cannot_rank(finished):
    """It gives every answer the share of right answers among the calibration questions: AUROC 0.5, whatever the set."""
    grades = read_records(finished / "grades" / "calibration.jsonl", SampleGrade)
    greedy = [grade for grade in grades if grade.index == 0 and grade.verdict != "ungraded"]
    prior = sum(grade.verdict == "correct" for grade in greedy) / len(greedy)
    constant = read_json(finished / "scorecard.json")["places"]["own"]["methods"]["constant"]["metrics"]

    assert constant["mean_confidence"]["value"] == pytest.approx(prior)
    assert constant["auroc"]["value"] == 0.5


def test_an_answer_without_confidence_stays_in_every_number(world, tmp_path):
    """A model that states no percentage counts at 0.5 raw and at the calibration share after: no row leaves the sets."""
    folder = run_line(confidence_config(world, tmp_path / "run", confidence=OBJECTIVES["verbalised"]), until="evaluate")
    rows = read_records(folder / "outcomes" / "own.jsonl", ConfidenceOutcome)
    place = read_json(folder / "scorecard.json")["places"]["own"]

    missing = sum(row.raw["verbalised"] is None for row in rows)
    assert missing == place["methods"]["verbalised"]["missing"] > 0
    assert place["counts"]["items"] == len(rows)
    assert place["methods"]["verbalised"]["metrics"]["brier"]["n"] == len(rows)


def test_calibration_changes_levels_and_not_who_is_surer(finished):
    """Metrics of ranks are those of the raw confidences; the calibrated ones keep their order."""
    rows = read_records(finished / "outcomes" / "own.jsonl", ConfidenceOutcome)
    pairs = sorted((row.raw["lora_prompt"], row.calibrated["lora_prompt"]) for row in rows)

    calibrated = [after for _, after in pairs]
    assert calibrated == sorted(calibrated)


def test_calibrators_remember_what_they_were_fitted_on(finished):
    """Questions, model and prompt, so that nobody evaluates on the same questions or serves another model with it."""
    fitted = read_json(finished / "calibrate.json")["lora_prompt"]

    assert len(fitted["question_ids"]) == (finished / "data" / "calibration.jsonl").read_text().count("\n")
    assert len(fitted["model"]) == len(fitted["prompt"]) == 64


def test_a_calibrated_question_is_not_evaluated(world, finished, tmp_path):
    """A calibrator that saw a test question stops the run, naming the question."""
    folder = shutil.copytree(finished, tmp_path / "run")
    fitted = read_json(folder / "calibrate.json")
    leaked = json.loads((folder / "data" / "test.own.jsonl").read_text().splitlines()[0])["id"]
    for one in fitted.values():
        one["question_ids"].append(leaked)
    (folder / "calibrate.json").write_text(json.dumps(fitted))
    manifest = read_json(folder / "manifest.json")
    manifest["stages"]["calibrate"]["outputs"]["calibrate.json"] = sha256_of_file(folder / "calibrate.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match=f"'{leaked}' of set 'own' was calibrated on"):
        run_line(confidence_config(world, folder), until="evaluate")


def test_the_joint_model_is_judged_by_its_own_answers(world, tmp_path):
    """Its outcomes are grades of what it answers itself, and the change of accuracy is told with its interval."""
    folder = run_line(
        confidence_config(world, tmp_path / "run", confidence=OBJECTIVES["joint"], train={"learning_rate": 0.05}),
        until="evaluate",
    )
    own = read_records(folder / "own" / "grades" / "test.own.jsonl", SampleGrade)
    right = {grade.question_id: grade.verdict == "correct" for grade in own}
    rows = read_records(folder / "outcomes" / "own.jsonl", ConfidenceOutcome)

    assert all(row.right == right[row.question_id] for row in rows)
    kept = read_json(folder / "scorecard.json")["accuracy_kept"]["own"]
    assert kept["low"] <= kept["value"] <= kept["high"]


def test_likelihoods_of_a_joint_run_are_of_its_own_answers(world, tmp_path):
    """They come with the answers that confidence is stated in, and can be mixed with it."""
    confidence = OBJECTIVES["joint"] | {"estimators": ["sequence_likelihood"], "mixes": ["logistic"], "query": "brief"}
    folder = run_line(
        confidence_config(world, tmp_path / "run", confidence=confidence, train={"learning_rate": 0.05}), until="predict"
    )
    own = {one.question_id: one for one in read_records(folder / "own" / "samples" / "test.own.jsonl", Sample)}
    told = read_records(folder / "confidences" / "test.own.jsonl", Confidence)
    likelihoods = {one.question_id: one.confidence for one in told if one.method == "sequence_likelihood"}

    assert likelihoods == {name: pytest.approx(math.exp(sum(one.log_probabilities))) for name, one in own.items()}
    assert {one.method for one in told} == {"joint", "sequence_likelihood", "mix_logistic"}


def test_joint_training_learns_structured_decisions_along(world, tmp_path):
    """With a mix there are more rows to train on than graded answers."""
    data = make_data(tmp_path / "data")
    rows = []
    for mix in (None, str(data)):
        confidence = OBJECTIVES["joint"] | {"mix": mix}
        folder = run_line(confidence_config(world, tmp_path / f"run-{mix is None}", confidence=confidence), until="train")
        rows.append(read_json(folder / "train.json")["rows"])
    assert rows[1] > rows[0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"objective": "joint", "estimators": ["sample_agreement"]},
            "'sample_agreement' looks at stored answers, but this run answers anew",
        ),
        ({"estimators": ["mean_likelyhood"]}, "Did you mean 'mean_likelihood'"),
        ({"in_one_pass": True, "estimators": []}, "confidence.in_one_pass is for form: probe"),
        ({"mix": "failure_aware"}, "is for the objective 'joint' alone"),
        ({"objective": "corectness"}, "confidence.objective"),
        ({"divergence": "hellinger"}, "confidence.divergence"),
    ],
)
def test_bad_settings_are_refused_before_any_work(world, tmp_path, section, message):
    """One line that names the setting, and no run folder."""
    with pytest.raises(ConfigError, match=message):
        run_line(confidence_config(world, tmp_path / "run", confidence=section))

    assert not (tmp_path / "run").exists()


def test_a_set_in_distribution_must_be_a_set(world, tmp_path):
    """A name that no test set has is refused."""
    with pytest.raises(ConfigError, match="in_distribution"):
        run_line(confidence_config(world, tmp_path / "run", questions={"in_distribution": ["onw"]}))


def test_without_a_graded_answer_there_is_nothing_to_learn(world, tmp_path):
    """Training questions that are all ungraded stop the run with a remedy."""
    folder = run_line(confidence_config(world, tmp_path / "run"), until="grade")
    grades = read_records(folder / "grades" / "train.jsonl", SampleGrade)
    write_records(folder / "grades" / "train.jsonl", [grade.model_copy(update={"verdict": "ungraded"}) for grade in grades])
    manifest = read_json(folder / "manifest.json")
    manifest["stages"]["grade"]["outputs"]["grades/train.jsonl"] = sha256_of_file(folder / "grades" / "train.jsonl")
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match="no training question has a graded answer"):
        run_line(confidence_config(world, folder), until="train")


def test_the_report_is_written(finished):
    """The last stage leaves a page that names the run's own method."""
    page = (finished / "report" / "index.html").read_text()

    assert "lora_prompt" in page or "lora prompt" in page


def test_a_promise_is_kept_or_refused_with_a_reason(finished):
    """Each method has a threshold, or the reason why so few questions can promise nothing."""
    promised = read_json(finished / "thresholds.json")
    told = read_json(finished / "scorecard.json")["thresholds"]

    for method, one in promised.items():
        assert (one["threshold"] is None) == (one["reason"] is not None)
        assert told[method]["realised"]["in_distribution"]["n_answered"] >= 0
    assert not any(isinstance(value, float) and math.isnan(value) for one in told.values() for value in one["realised"].values())


def test_costs_are_those_of_the_confidence_alone(finished):
    """Likelihoods come with the answer and cost nothing; draws cost their tokens, and their prompts where nothing is shared."""
    costs = read_json(finished / "costs.json")

    assert costs["mean_likelihood"]["tokens"] == 0
    assert 0 < costs["sample_agreement"]["tokens"] < costs["sample_agreement"]["tokens_unshared"]
    assert costs["sample_agreement"]["seconds"] is None
    assert 0 < costs["lora_prompt"]["tokens"] <= costs["lora_prompt"]["tokens_unshared"]
    assert costs["lora_prompt"]["seconds"] > 0


def test_stating_in_the_same_breath_costs_the_query_alone(world, finished, tmp_path):
    """The joint model reads its own answer's keys and values: far fewer tokens than an adapter that reads all anew."""
    folder = run_line(confidence_config(world, tmp_path / "run", confidence=OBJECTIVES["joint"]), until="predict")
    joint, separate = read_json(folder / "costs.json")["joint"], read_json(finished / "costs.json")["lora_prompt"]

    assert joint["tokens"] < separate["tokens"] < separate["tokens_unshared"]


def adopted_config(world, folder, finished, **sections):
    """A run that judges with what the finished one has trained."""
    confidence = {"adapter": str(finished), "estimators": ["mean_likelihood"]} | sections.pop("confidence", {})
    return confidence_config(world, folder, confidence=confidence, **sections)


def test_an_adapter_of_another_run_judges_as_it_did_there(world, finished, tmp_path):
    """Without training, and without asking the training questions; and it lies in the folder, which stands for itself."""
    folder = run_line(adopted_config(world, tmp_path / "run", finished))

    def told(where):
        rows = read_records(where / "confidences" / "test.own.jsonl", Confidence)
        return {row.question_id: row.confidence for row in rows if row.method == "lora_prompt"}

    assert told(folder) == told(finished)
    assert not (folder / "samples" / "train.jsonl").exists()
    assert sha256_of_file(folder / "adapter/adapter_model.safetensors") == sha256_of_file(
        finished / "adapter/adapter_model.safetensors"
    )


def test_answers_of_another_model_are_judged(world, finished, tmp_path):
    """`sample.model` answers: they are graded, and judged by the adapter on the weights of `model`."""
    other = make_tiny_model(tmp_path / "other")
    model = {"name": str(other), "dtype": "float32", "device": "cpu"}
    folder = run_line(adopted_config(world, tmp_path / "run", finished, sample={"model": model}), until="evaluate")

    theirs = {one.question_id: one.text for one in read_records(folder / "samples" / "test.own.jsonl", Sample)}
    ours = {one.question_id: one.text for one in read_records(finished / "samples" / "test.own.jsonl", Sample) if one.index == 0}
    assert theirs.keys() == ours.keys()
    assert theirs != ours
    assert read_json(folder / "scorecard.json")["method"] == "lora_prompt"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"query": "brief"}, "trained with confidence.query: short, not brief; set confidence.query: short"),
        ({"objective": "p_ik"}, "trained with confidence.objective: correctness"),
        ({"form": "probe"}, "has no adapter/head.safetensors"),
        ({"adapter": "no/such/run"}, "'no/such/run' has no config.json; name the folder of a run that has trained"),
        ({"objective": "none"}, "leave one of them out"),
    ],
)
def test_an_adapter_that_cannot_be_read_so_is_refused(world, finished, tmp_path, section, message):
    """One line that tells what to set, and no run folder."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        run_line(adopted_config(world, tmp_path / "run", finished, confidence=section))

    assert not (tmp_path / "run").exists()


def test_questions_that_an_adapter_was_trained_on_are_not_judged(world, finished, tmp_path):
    """Elsewhere a training question is a test question here: a leak that no split of this run can show."""
    sets = {"own": {"source": "{root}/train.jsonl"}, "far": {"source": "{root}/far.jsonl"}}
    questions = {"test": sets, "train": [{"source": "{root}/own.jsonl"}], "in_distribution": ["own"]}
    with pytest.raises(DataError, match=r"was trained on question 'train-[a-z]+-0', which is judged here; keep them apart"):
        run_line(adopted_config(world, tmp_path / "run", finished, questions=questions))


def test_a_joint_run_judges_no_other_model(world, tmp_path):
    """It answers by itself."""
    with pytest.raises(ConfigError, match="this run answers by itself; leave it out"):
        run_line(
            confidence_config(
                world, tmp_path / "run", confidence=OBJECTIVES["joint"], sample={"model": {"name": str(world / "model")}}
            )
        )


def test_nothing_is_drawn_that_nobody_looks_at(world, tmp_path):
    """Likelihoods need the greedy answer alone; soft targets need draws of the training questions, and of no others."""
    confidence = {"estimators": ["min_likelihood"], "targets": "soft"}
    folder = run_line(confidence_config(world, tmp_path / "run", confidence=confidence), until="sample")

    drawn = {path.stem: any(one.index for one in read_records(path, Sample)) for path in (folder / "samples").glob("*.jsonl")}
    assert drawn == {"train": True, "calibration": False, "test.own": False, "test.far": False}


def test_a_killed_prediction_loses_no_finished_part(world, finished, tmp_path, monkeypatch):
    """Stopped in the second of three parts, it states the first no second time, and ends with the same bytes."""
    from nescio.pipeline import confidence as line

    config = confidence_config(world, tmp_path / "run")
    stated, make = [], line.make_stater

    def make_mortal(run, costs):
        state = make(run, costs)

        def tell(part):
            stated.append(part)
            if stated.count("test.own") == 1 and part == "test.own":
                raise KeyboardInterrupt
            return state(part)

        return tell

    monkeypatch.setattr(line, "make_stater", make_mortal)
    with pytest.raises(KeyboardInterrupt):
        run_line(config, until="predict")
    run_line(config, until="predict")

    assert stated == ["calibration", "test.own", "test.own", "test.far"]
    for part in ("calibration", "test.own", "test.far"):
        name = f"confidences/{part}.jsonl"
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()
    assert not list((tmp_path / "run" / "confidences").glob(".*"))


def test_a_row_that_is_too_long_stops_training_with_its_question(world, tmp_path):
    """Half an answer is not to be learnt: the question is named, and what to raise."""
    with pytest.raises(TrainingError, match=r"question 'train-.*' has \d+ tokens, more than train.max_length=8"):
        run_line(confidence_config(world, tmp_path / "run", train={"max_length": 8}), until="train")
