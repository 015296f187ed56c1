"""The honesty line on a tiny model: from questions to a report, without drawing, training or replying twice."""

import json
import shutil

import pytest

from honesty_world import ANYTHING, NOTHING, honesty_config, make_question, make_questions, make_world
from nescio.confidence.second_opinion import SecondOpinion
from nescio.errors import ConfigError, DataError, ModelError
from nescio.label import RECIPES
from nescio.models.torch_sampler import TorchSampler
from nescio.pipeline import HONESTY_STAGES, run_line
from nescio.pipeline.honesty import UNTRAINED
from nescio.records import Label, Outcome, Question, Reply, Sample
from nescio.store import read_json, read_records, write_records
from small_run import Recorder, make_data

PARTS = ("calibration", "test.own", "test.far")
LATER = ["train", "predict", "evaluate"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model and files of questions; its samples are shared."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A run of `decision` that went through undisturbed; read-only."""
    return run_line(honesty_config(world, tmp_path_factory.mktemp("finished") / "run"))


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, to go on with."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def other_world(world, tmp_path):
    """A copy of the files, to change; without any sample."""
    return shutil.copytree(world, tmp_path / "world", ignore=shutil.ignore_patterns("samples"))


@pytest.fixture
def drawn(monkeypatch):
    """Requests that engines are given from here on: plain text before training, chats after it."""
    seen = []
    draw = TorchSampler.draw

    def count(self, requests, settings, **options):
        seen.extend(requests)
        return draw(self, requests, settings, **options)

    monkeypatch.setattr(TorchSampler, "draw", count)
    return seen


def run_again(world, out, *, until="report", progress=None, **sections):
    """Run with some keys changed; tells which stages worked."""
    recorder = progress or Recorder()
    run_line(honesty_config(world, out, **sections), until=until, progress=recorder)
    return recorder


def results(folder):
    """Bytes of every file that must not depend on when and where a run was made."""
    folders = ("data/", "samples/", "grades/", "predictions/", "outcomes/", "adapter/adapter")
    kept = (*folders, "label", "train.json", "scorecard.json")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.startswith(kept)}


def leftovers(folder):
    """Hidden files and folders of unfinished work."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".lock"]


def ids(folder, part):
    """Ids of a part's questions."""
    return [question.id for question in read_records(folder / "data" / f"{part}.jsonl", Question)]


class Stopper(Recorder):
    """A front end that ends the run in the middle of a stage, as a killed process would."""

    def __init__(self, stage, *, at=0, note=""):
        super().__init__()
        self.place = (stage, at, note)

    def advance(self, stage, done, total, note):
        """Stop at the place."""
        wanted, at, part = self.place
        if stage == wanted and done > at and note.startswith(part):
            raise KeyboardInterrupt


def test_whole_line_leaves_every_file_and_no_scratch(finished):
    """Each stage's files are there for all parts; checkpoints and partial replies are gone."""
    expected = [f"{kind}/{part}.jsonl" for kind in ("data", "samples", "grades", "predictions") for part in PARTS]
    expected += [f"{kind}/train.jsonl" for kind in ("data", "samples", "grades")]
    expected += ["outcomes/own.jsonl", "outcomes/far.jsonl", "labels.jsonl", "label.json", "train.json", "scorecard.json"]
    expected += ["adapter/adapter_model.safetensors", "report/index.html", "config.json", "manifest.json"]

    assert [name for name in expected if not (finished / name).is_file()] == []
    assert list(read_json(finished / "manifest.json")["stages"]) == list(HONESTY_STAGES)
    assert leftovers(finished) == []


def test_only_training_and_own_kind_are_asked_many_times(finished):
    """Three drawn answers and the greedy one there, the greedy one alone elsewhere; each question in its place."""
    for part, n in (("train", 3), ("calibration", 0), ("test.own", 3), ("test.far", 0)):
        samples = read_records(finished / "samples" / f"{part}.jsonl", Sample)

        assert [(s.question_id, s.index) for s in samples] == [(id, i) for id in ids(finished, part) for i in range(n + 1)]


def test_outcomes_tell_known_from_unknown_before_training(finished):
    """Whatever the model says to a known question is right, and nothing that it says to the others; none is lost."""
    for name in ("own", "far"):
        rows = {row.question_id: row for row in read_records(finished / "outcomes" / f"{name}.jsonl", Outcome)}

        assert set(rows) == set(ids(finished, f"test.{name}"))
        assert {rows[f"{name}-known-{n}"].before for n in range(4)} == {"correct"}
        assert {rows[f"{name}-unknown-{n}"].before for n in range(4)} == {"wrong"}
        assert {rows[f"{name}-invented-{n}"].answerable for n in range(2)} == {False}
        assert all((row.graded == 3) == (name == "own") for row in rows.values())
        assert all(row.confidence is not None and row.forced is not None for row in rows.values())


def test_scorecard_says_what_it_rests_on(finished):
    """Recipe, threshold, which set is of the training's kind and which are not."""
    scorecard = read_json(finished / "scorecard.json")

    assert (scorecard["kind"], scorecard["recipe"], scorecard["in_distribution"]) == ("honesty", "decision", "own")
    assert scorecard["settings"]["out_of_distribution"] == ["far"]
    assert scorecard["sets"]["own"]["counts"] | {"items": 12, "without_samples": 0} == scorecard["sets"]["own"]["counts"]
    assert scorecard["sets"]["far"]["counts"]["without_samples"] == 12


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "decision"])
def test_every_recipe_runs_from_data_to_report(world, tmp_path, recipe):
    """Each leaves an outcome for every question, and trains unless it is a prompt alone."""
    # Drawing the figures takes longer than all else; they do not depend on the recipe but for what is absent without training.
    until = "report" if recipe in UNTRAINED else "evaluate"
    recorder = run_again(world, tmp_path / "run", until=until, label={"recipe": recipe})
    skipped = {"train"} if recipe in UNTRAINED else set()
    counts = {name: entry["counts"] for name, entry in read_json(tmp_path / "run" / "scorecard.json")["sets"].items()}

    assert recorder.begun == [s for s in HONESTY_STAGES[: HONESTY_STAGES.index(until) + 1] if s not in skipped]
    assert {name: count["items"] for name, count in counts.items()} == {"own": 12, "far": 12}
    assert (tmp_path / "run" / "adapter").exists() != (recipe in UNTRAINED)
    assert read_json(tmp_path / "run" / "scorecard.json")["threshold"] is None
    # What the model says where it may not refuse is known of all, so that retention is defined.
    assert {count["refused_without_forced"] for count in counts.values()} == {0}


def test_mixed_recipe_trains_on_labels_and_examples(world, copied, tmp_path):
    """Rows of both, and nothing before training is done again; another mix is another training."""
    mix = make_data(tmp_path / "mix")
    recorder = run_again(world, copied, until="train", label={"mix": str(mix)})
    labels = read_records(copied / "labels.jsonl", Label)

    assert recorder.begun == ["label", "train"]
    assert read_json(copied / "train.json")["rows"] == len(labels) + 12
    rows = (mix / "train.jsonl").read_text().replace("on record", "on file")
    (mix / "train.jsonl").write_text(rows)
    stopper = Stopper("train")
    with pytest.raises(KeyboardInterrupt):
        run_again(world, copied, until="train", progress=stopper, label={"mix": str(mix)})
    assert stopper.begun == ["label", "train"]


def test_two_opinions_decide_together(world, copied, drawn):
    """Rows of both recipes are learnt; fitting the opinion asks nobody again; the answer is the one in free text."""
    rows = len(read_records(copied / "labels.jsonl", Label))
    recorder = run_again(world, copied, until="predict", label={"beside": "absolute"})
    labels = {row.id: row for row in read_records(copied / "labels.jsonl", Label)}

    assert recorder.begun == ["label", "train", "predict"]
    assert len(labels) == 2 * rows
    assert read_json(copied / "label.json")["rows of absolute"] == rows
    assert {labels[id].prompt for id in labels if id.endswith("#absolute")} == {"honesty"}
    drawn.clear()
    again = run_again(world, copied, label={"beside": "absolute"}, predict={"threshold": "own"})
    assert again.begun == ["evaluate", "report"]
    assert not drawn
    fitted = SecondOpinion.model_validate(read_json(copied / "scorecard.json")["second_opinion"])
    for name in ("own", "far"):
        greedy = {s.question_id: s for s in read_records(copied / "samples" / f"test.{name}.jsonl", Sample) if s.index == 0}
        replies = {r.question_id: r for r in read_records(copied / "predictions" / f"test.{name}.jsonl", Reply)}
        for row in read_records(copied / "outcomes" / f"{name}.jsonl", Outcome):
            told = fitted.weigh(replies[row.question_id].answer_log_odds, greedy[row.question_id])
            assert row.confidence == pytest.approx(told)
            assert (row.after == "idk") is (told < 0.5)
            assert told < 0.5 or row.after == row.forced


def test_second_run_skips_every_stage(world, finished, drawn):
    """Nothing is computed, drawn or written again."""
    times = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name not in (".lock", "config.json")}
    recorder = run_again(world, finished)

    assert recorder.skipped == list(HONESTY_STAGES)
    assert recorder.begun == []
    assert drawn == []
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_two_runs_are_identical(other_world, finished, tmp_path):
    """With samples of its own, in another folder, a run leaves the same bytes."""
    again = run_line(honesty_config(other_world, tmp_path / "again"), until="evaluate")
    mine, theirs = results(again), results(finished)
    for files in (mine, theirs):  # the adapter names the folder of its model
        adapter = json.loads(files.pop("adapter/adapter_config.json"))
        assert adapter.pop("base_model_name_or_path")

    assert mine == theirs
    assert len(mine) == 4 + 4 + 4 + 3 + 2 + 1 + 2 + 1 + 1  # splits' files of four kinds, outcomes, adapter, labels, two numbers


def test_another_recipe_reruns_label_and_later_stages_only(world, copied, drawn):
    """What the model said before training does not depend on what it is to learn."""
    recorder = run_again(world, copied, until="evaluate", label={"recipe": "absolute"})

    assert recorder.begun == ["label", *LATER]
    assert recorder.skipped == ["data", "sample", "grade"]
    assert [request for request in drawn if request.text] == []


def test_runs_in_other_folders_share_the_samples(world, finished, tmp_path, drawn):
    """The second run asks nothing that the first one asked, and loads no model for it."""
    recorder = run_again(world, tmp_path / "second", until="sample", label={"recipe": "idk"})

    assert recorder.begun == ["data", "sample"]
    assert drawn == []
    assert results(tmp_path / "second").items() <= results(finished).items()


def test_more_samples_draw_only_what_is_missing(other_world, tmp_path, drawn):
    """From one drawn answer a question to two: index 2 alone is drawn."""
    run_again(other_world, tmp_path / "run", until="sample", sample={"n": 1})
    drawn.clear()
    run_again(other_world, tmp_path / "run", until="sample", sample={"n": 2})

    assert {request.indices for request in drawn} == {(2,)}


def test_stopped_while_sampling_goes_on(other_world, finished, tmp_path, drawn):
    """Only the batch in flight is drawn again: of 12 training questions in batches of four, the last is cut off."""
    with pytest.raises(KeyboardInterrupt):
        run_again(other_world, tmp_path / "run", until="sample", progress=Stopper("sample", at=9, note="train, greedy"))
    before = len(drawn)
    run_again(other_world, tmp_path / "run", until="sample")
    greedy = [request.question_id for request in drawn[before:] if 0 in request.indices]

    assert before == 12
    assert set(greedy) == {id for part in PARTS for id in ids(finished, part)} | set(ids(finished, "train")[8:])
    assert results(tmp_path / "run").items() <= results(finished).items()


def test_stopped_while_training_goes_on(world, finished, copied):
    """From the newest checkpoint, to the same adapter; no checkpoint stays."""
    shutil.rmtree(copied / "adapter")
    with pytest.raises(KeyboardInterrupt):
        run_again(world, copied, until="train", progress=Stopper("train", at=1))
    assert any(copied.glob(".checkpoints-*/checkpoint-1"))
    (copied / ".checkpoints-of-another-run").mkdir()
    run_again(world, copied, until="evaluate")

    assert results(copied) == results(finished)
    assert leftovers(copied) == []


def test_stopped_while_predicting_goes_on(world, finished, copied, monkeypatch):
    """Sets that were replied to are not asked again."""
    shutil.rmtree(copied / "predictions")
    with pytest.raises(KeyboardInterrupt):
        run_again(world, copied, until="predict", progress=Stopper("predict", note="test.far"))
    assert len(leftovers(copied)) == 2
    asked = []
    monkeypatch.setattr(Recorder, "advance", lambda self, stage, done, total, note: asked.append(note))
    run_again(world, copied, until="predict")

    assert set(asked) == {"test.far"}
    assert results(copied) == results(finished)
    assert leftovers(copied) == []


def swap_gold(path):
    """Make the known questions unknown ones, and the other way round."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(ANYTHING, "?").replace(NOTHING, ANYTHING).replace('"?"', f'"{NOTHING}"'), encoding="utf-8")


def test_threshold_is_chosen_on_calibration_questions_alone(world, other_world, copied):
    """Other gold answers of the test sets change every number but the threshold; those of calibration change it."""
    read = {"root": str(other_world)}
    first = read_json(copied / "scorecard.json")
    for name in ("own", "far"):
        swap_gold(other_world / f"{name}.jsonl")
    recorder = run_again(world, copied, until="evaluate", questions=read)
    second = read_json(copied / "scorecard.json")
    swap_gold(other_world / "calibration.jsonl")
    run_again(world, copied, until="evaluate", questions=read)
    third = read_json(copied / "scorecard.json")

    assert recorder.begun == ["data", "sample", "grade", "predict", "evaluate"]
    assert first["threshold"] is not None
    assert second["threshold"] == first["threshold"]
    assert second["sets"]["own"]["grid"] != first["sets"]["own"]["grid"]
    assert third["threshold"] != first["threshold"]


def test_own_words_decide_where_the_run_file_says_so(world, copied):
    """Without a threshold only the evaluation is made again."""
    recorder = run_again(world, copied, until="evaluate", predict={"threshold": "own"})

    assert recorder.begun == ["evaluate"]
    assert read_json(copied / "scorecard.json")["threshold"] is None


def test_shared_questions_leave_training_and_calibration_but_never_the_test(other_world, tmp_path):
    """A tested question leaves both, one of calibration leaves training; case and punctuation do not hide it."""
    train, calibration = make_questions("train"), make_questions("calibration")
    tested = make_questions("own")[0]
    again = tested.model_copy(update={"id": "again", "question": tested.question.upper() + "?"})
    borrowed = calibration[1].model_copy(update={"id": "borrowed"})
    write_records(other_world / "train.jsonl", [*train, again, borrowed])
    write_records(other_world / "calibration.jsonl", [*calibration, again.model_copy(update={"id": "once-more"})])
    recorder = run_again(other_world, tmp_path / "run", until="data")

    assert set(ids(tmp_path / "run", "train")) == {question.id for question in train}
    assert set(ids(tmp_path / "run", "calibration")) == {question.id for question in calibration}
    assert tested.id in ids(tmp_path / "run", "test.own")
    assert recorder.notes["data"].startswith("12 of 14 train, 12 of 13 calibration, 12 own, 12 far")


def test_training_set_that_is_tested_whole_is_one_line(other_world, tmp_path):
    """Nothing would be left to train on."""
    shutil.copy(other_world / "own.jsonl", other_world / "train.jsonl")

    with pytest.raises(DataError, match=r"no question of questions.train is left: all 12 are also tested or calibrated on"):
        run_again(other_world, tmp_path / "run", until="data")


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_benchmark_tests_are_not_trained_on(other_world, tmp_path, split):
    """Neither labels nor the threshold may come from them."""
    mark = {"benchmark": "popqa", "benchmark_split": "test"}
    write_records(other_world / f"{split}.jsonl", [q.model_copy(update={"metadata": mark}) for q in make_questions(split)])

    with pytest.raises(DataError, match=r"benchmark test questions must not be trained on: 12 of popqa"):
        run_again(other_world, tmp_path / "run", until="data")


def test_questions_that_nothing_can_grade_are_left_out(other_world, tmp_path):
    """No gold answer, no right option, and not said to be unanswerable."""
    write_records(
        other_world / "own.jsonl", [*make_questions("own"), make_question("open"), make_question("x", choices=["a", "b"])]
    )
    run_again(other_world, tmp_path / "run", until="data")

    assert set(ids(tmp_path / "run", "test.own")) == {question.id for question in make_questions("own")}


def test_one_id_for_two_questions_is_refused(other_world, tmp_path):
    """Their answers would be taken for one another; the same question in two sets is no harm."""
    own = make_questions("own")
    write_records(other_world / "far.jsonl", [*make_questions("far"), own[0]])
    run_again(other_world, tmp_path / "run", until="data")
    other = make_question("other", answers=["x"]).model_copy(update={"id": own[0].id})
    write_records(other_world / "far.jsonl", [*make_questions("far"), other])

    with pytest.raises(DataError, match=r"id 'own-known-0' stands for two questions, .*; give the questions of all sources ids"):
        run_again(other_world, tmp_path / "run", until="data")


def test_a_changed_file_is_read_again_whatever_its_name(other_world, tmp_path):
    """Sources in two folders may have files of one name: a change of either counts."""
    places = {}
    for name in ("own", "far"):
        places[name] = other_world / f"folder-{name}" / "questions.jsonl"
        write_records(places[name], make_questions(name))
    test = {"test": {name: {"source": str(path)} for name, path in places.items()}}
    run_again(other_world, tmp_path / "run", until="data", questions=test)
    for name in ("own", "far"):
        write_records(places[name], make_questions(name, known=3))

        assert run_again(other_world, tmp_path / "run", until="data", questions=test).begun == ["data"]
        assert len(ids(tmp_path / "run", f"test.{name}")) == 11


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"label": {"recipe": "decisions"}}, r"unknown recipe 'decisions'. Did you mean 'decision'\?"),
        ({"label": {"recipe": "idk", "mix": "nowhere"}}, r"data folder 'nowhere' does not exist"),
        ({"label": {"recipe": "multisample", "threshold": 0.5}}, r"recipe 'multisample' has no threshold"),
        ({"label": {"recipe": "idk", "beside": "absolute"}}, r"label.beside is for recipe 'decision' alone, not for 'idk'"),
        ({"label": {"beside": "absolut"}}, r"unknown label.beside 'absolut'. Did you mean 'absolute'\?"),
        ({"questions": {"in_distribution": "won"}}, r"unknown questions.in_distribution 'won'. Did you mean 'own'\?"),
        ({"model": {"name": "smollm2-153m"}}, r"unknown model 'smollm2-153m'"),
    ],
)
def test_mistakes_in_the_run_file_stop_it_before_the_first_stage(world, tmp_path, sections, message):
    """What a later stage would stumble over is found before anything is asked or written."""
    with pytest.raises((ConfigError, DataError, ModelError), match=message):
        run_again(world, tmp_path / "run", **sections)

    assert not (tmp_path / "run").exists()


def test_unknown_stage_is_one_line(world, tmp_path):
    """The decision line's calibrate is no stage of this one."""
    with pytest.raises(ConfigError, match=r"unknown stage 'calibrate'.*Known: data, evaluate"):
        run_again(world, tmp_path / "run", until="calibrate")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"own": {"source": "{root}/nowhere.jsonl"}}, r"nowhere.jsonl' does not exist"),
        ({"own": {"source": "{root}/own.jsonl", "language": "fr"}}, r"has 12 questions in this split, but none as wanted"),
        ({"own": {"source": "{root}/own.jsonl", "setting": "popqua"}}, r"unknown setting 'popqua'. Did you mean 'popqa'"),
    ],
)
def test_sources_that_cannot_be_read_are_one_line(world, tmp_path, sources, message):
    """The source and what is wrong with it are named."""
    with pytest.raises((ConfigError, DataError), match=message):
        run_again(world, tmp_path / "run", until="data", questions={"test": sources})


def test_balance_that_leaves_nothing_is_one_line(other_world, tmp_path):
    """Where the model knows nothing there is no known half; keeping all is the way out."""
    write_records(other_world / "train.jsonl", make_questions("train", known=0, choices=0))
    message = r"label.balance=0.5 leaves no training question: of 4, the model answers 0 right, 4 not, 0 ungraded; .*=null"
    with pytest.raises(DataError, match=message):
        run_again(other_world, tmp_path / "run", until="sample")

    run_again(other_world, tmp_path / "run", until="label", label={"balance": None})
    assert {label.decision for label in read_records(tmp_path / "run" / "labels.jsonl", Label)} == {"refuse"}


def test_training_set_of_invented_things_alone_is_one_line(other_world, tmp_path):
    """There is no boundary in it."""
    write_records(other_world / "train.jsonl", make_questions("train", known=0, unknown=0, choices=0))

    with pytest.raises(DataError, match=r"all 2 training questions are marked as not answerable; add some"):
        run_again(other_world, tmp_path / "run", until="sample")


def test_recipe_without_a_row_is_one_line(other_world, tmp_path):
    """Where no question fits the model's window, training on nothing is not begun."""
    context = "a ripe apple, " * 215
    questions = [q.model_copy(update={"context": context}) for q in make_questions("train", invented=0)]
    write_records(other_world / "train.jsonl", questions)

    message = r"recipe 'absolute' makes no row to train on \(10 questions, 10 left out: no drawn answer"
    with pytest.raises(DataError, match=message):
        run_again(other_world, tmp_path / "run", until="train", label={"recipe": "absolute", "balance": None})


def test_question_longer_than_the_window_fails_alone(other_world, tmp_path):
    """It is ungraded before and after training, counted, and the run goes on."""
    long = make_question("long", answers=[ANYTHING], context="a ripe apple, " * 215)
    write_records(other_world / "far.jsonl", [*make_questions("far", choices=0), long])
    recorder = run_again(other_world, tmp_path / "run", until="evaluate", label={"recipe": "prompt_based"})
    row = {row.question_id: row for row in read_records(tmp_path / "run" / "outcomes" / "far.jsonl", Outcome)}["long"]
    reply = {row.question_id: row for row in read_records(tmp_path / "run" / "predictions" / "test.far.jsonl", Reply)}["long"]

    assert (row.before, row.after) == ("ungraded", "ungraded")
    assert "window" in reply.failure
    assert recorder.notes["predict"].startswith("1 failed")
    counts = read_json(tmp_path / "run" / "scorecard.json")["sets"]["far"]["counts"]
    assert (counts["items"], counts["ungraded_before"], counts["ungraded_after"]) == (11, 1, 1)
