"""What was drawn is kept and found again; what is missing is drawn; nothing is shifted or lost."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from nescio.errors import ConfigError, DataError
from nescio.models.engine import DrawSettings
from nescio.models.fake import FakeEngine
from nescio.records import Sample
from nescio.sample import PromptSettings, sample_questions
from nescio.sample.store import SampleStore, default_store
from nescio.store import write_records

OPTIONS = {"n": 3, "batch_questions": 4}


def test_samples_come_in_order_and_marked(make_questions, tmp_path):
    """By question, then by index, each with the digest of its prompt."""
    samples = sample_questions(make_questions(10), FakeEngine(), store=tmp_path, **OPTIONS)

    assert [(s.question_id, s.index) for s in samples] == [(f"q{n}", index) for n in range(10) for index in range(4)]
    assert len({s.prompt for s in samples}) == 10
    assert all(len(s.prompt) == 16 for s in samples)


def test_a_second_run_draws_nothing(make_questions, tmp_path):
    """It gives the same samples without a call to the engine, whatever the size of batches or the order of questions."""
    questions, engine = make_questions(10), FakeEngine()
    first = sample_questions(questions, FakeEngine(), store=tmp_path, **OPTIONS)
    second = sample_questions(questions, engine, store=tmp_path, n=3, batch_questions=3)
    backwards = sample_questions(questions[::-1], engine, store=tmp_path, **OPTIONS)

    assert second == first
    assert sorted(backwards, key=repr) == sorted(first, key=repr)
    assert engine.calls == []


def test_more_samples_draw_only_the_new_ones(make_questions, tmp_path):
    """From n = 3 to 5 two a question; with the greedy answer later, that one only; back to 2, none."""
    questions, engine = make_questions(6), FakeEngine()
    sample_questions(questions, engine, store=tmp_path, greedy=False, **OPTIONS)
    assert {r.indices for call in engine.calls for r in call} == {(1, 2, 3)}

    engine.calls.clear()
    sample_questions(questions, engine, store=tmp_path, greedy=False, n=5)
    assert {r.indices for call in engine.calls for r in call} == {(4, 5)}

    engine.calls.clear()
    more = sample_questions(questions, engine, store=tmp_path, n=5)
    assert {r.indices for call in engine.calls for r in call} == {(0,)}

    engine.calls.clear()
    fewer = sample_questions(questions, engine, store=tmp_path, n=2)
    assert engine.calls == []
    assert fewer == [s for s in more if s.index <= 2]


def test_a_question_that_reads_otherwise_is_drawn_anew(make_questions, tmp_path):
    """The same id with another text is another question; the old samples stay for the old text."""
    old, engine = make_questions(3), FakeEngine()
    new = [old[0], old[1].model_copy(update={"question": "What is one?"}), old[2]]
    first = sample_questions(old, FakeEngine(), store=tmp_path, **OPTIONS)
    second = sample_questions(new, engine, store=tmp_path, **OPTIONS)

    assert [[r.question_id for r in call] for call in engine.calls] == [["q1"]]
    assert second[4].prompt != first[4].prompt
    assert sample_questions(old, FakeEngine(answers={"q1": ["never"]}), store=tmp_path, **OPTIONS) == first


@pytest.mark.parametrize(
    "other",
    [
        {"settings": DrawSettings(temperature=0.5)},
        {"settings": DrawSettings(max_new_tokens=5)},
        {"settings": DrawSettings(stop=())},
        {"settings": DrawSettings(seed=1)},
        {"prompt": PromptSettings(style="plain")},
        {"prompt": PromptSettings(shots=())},
    ],
)
def test_whatever_samples_depend_on_is_part_of_their_key(make_questions, tmp_path, other):
    """Nothing that was drawn in another way is taken for what is asked."""
    engine = FakeEngine()
    sample_questions(make_questions(2), FakeEngine(), store=tmp_path, **OPTIONS)
    sample_questions(make_questions(2), engine, store=tmp_path, **OPTIONS, **other)

    assert engine.drawn == 8
    assert len(list(tmp_path.glob("*/key.json"))) == 2


def test_another_model_is_another_key(make_questions, tmp_path):
    """Engines that identify themselves differently share nothing."""

    class Other(FakeEngine):
        def identify(self):
            return {"engine": "fake", "sha256": "ab"}

    sample_questions(make_questions(2), FakeEngine(), store=tmp_path)
    engine = Other()
    sample_questions(make_questions(2), engine, store=tmp_path)

    assert engine.drawn == 22


def test_a_failed_sample_is_told_and_tried_again(make_questions, tmp_path):
    """It is in the result but not on disk; the next run asks for it alone."""
    questions = make_questions(6)
    failing = FakeEngine(failing=frozenset({("q1", 2), ("q5", 0)}))
    samples = sample_questions(questions, failing, store=tmp_path, **OPTIONS)
    engine = FakeEngine()
    again = sample_questions(questions, engine, store=tmp_path, **OPTIONS)

    assert [(s.question_id, s.index, s.failure) for s in samples if s.failure] == [
        ("q1", 2, "asked to fail"),
        ("q5", 0, "asked to fail"),
    ]
    assert [(r.question_id, r.indices) for call in engine.calls for r in call] == [("q1", (2,)), ("q5", (0,))]
    assert again == sample_questions(questions, FakeEngine(), store=tmp_path / "other", **OPTIONS)


def swap(samples):
    """Two samples changed places."""
    return [samples[1], samples[0], *samples[2:]]


def rename(samples):
    """A sample of a question that nobody asked."""
    return [samples[0].model_copy(update={"question_id": "q99"}), *samples[1:]]


@pytest.mark.parametrize("mix_up", [swap, rename, lambda s: s[:-1], lambda s: [*s, s[-1]], lambda s: []])
def test_an_engine_that_loses_or_shifts_samples_is_refused(make_questions, tmp_path, mix_up):
    """Nothing of such a batch is kept."""

    class Broken(FakeEngine):
        def draw(self, *arguments, **options):
            return mix_up(super().draw(*arguments, **options))

    with pytest.raises(DataError, match="the engine returned"):
        sample_questions(make_questions(3), Broken(), store=tmp_path)
    assert list(tmp_path.glob("*/part-*")) == []


def test_an_executor_that_loses_a_batch_is_noticed(make_questions, tmp_path):
    """What came back is kept, so that the next run draws the rest only."""
    engine = FakeEngine()

    def lose_the_second(batches, on_progress):
        for batch in batches:
            if batch.place != 4:
                yield batch, engine.draw(batch.requests, DrawSettings())

    with pytest.raises(DataError, match="lost batches with 16 samples"):
        sample_questions(make_questions(10), engine, store=tmp_path, executor=lose_the_second, **OPTIONS)
    engine.calls.clear()
    sample_questions(make_questions(10), engine, store=tmp_path, **OPTIONS)
    assert [r.question_id for call in engine.calls for r in call] == ["q4", "q5", "q6", "q7"]


def test_batches_may_come_back_in_any_order(make_questions, tmp_path):
    """The result and the files are the same."""

    def backwards(batches, on_progress):
        for batch in list(batches)[::-1]:
            yield batch, FakeEngine().draw(batch.requests, DrawSettings())

    straight = sample_questions(make_questions(10), FakeEngine(), store=tmp_path / "a", **OPTIONS)

    assert sample_questions(make_questions(10), FakeEngine(), store=tmp_path / "b", executor=backwards, **OPTIONS) == straight
    assert read_parts(tmp_path / "a") == read_parts(tmp_path / "b")


def test_progress_counts_questions_to_the_end(make_questions, tmp_path):
    """What the store holds counts as done; the last word is the total."""
    told = []
    sample_questions(make_questions(4), FakeEngine(), store=tmp_path, **OPTIONS)
    sample_questions(
        make_questions(10), FakeEngine(), store=tmp_path, on_progress=lambda done, total: told.append((done, total)), **OPTIONS
    )

    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[0] == (5, 10)
    assert told[-1] == (10, 10)


def test_nothing_to_draw_and_repeated_ids_are_refused(make_questions, tmp_path):
    """Before anything is drawn."""
    for n, greedy in ((0, False), (-1, True)):
        with pytest.raises(ConfigError, match="leaves nothing to draw"):
            sample_questions(make_questions(2), FakeEngine(), n=n, greedy=greedy, store=tmp_path)
    with pytest.raises(DataError, match="'q0' occurs more than once"):
        sample_questions(make_questions(1) * 2, FakeEngine(), store=tmp_path)


def test_no_questions_give_no_samples(tmp_path):
    """And no files of samples."""
    assert sample_questions([], FakeEngine(), store=tmp_path) == []


def read_parts(root):
    """Name and bytes of every part file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("part-*.jsonl")}


SCRIPT = """
import sys
from nescio.models.fake import FakeEngine
from nescio.records import Question
from nescio.sample import sample_questions
from nescio.store import write_records
store, out, delay_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
questions = [Question(id=f"q{n}", group=f"q{n}", question=f"What is {n}?") for n in range(2000)]
print("ready", flush=True)
write_records(out, sample_questions(questions, FakeEngine(delay_s=delay_s), store=store, n=10, batch_questions=64))
"""


def start(store, out, *, delay_s):
    """A process that samples 2,000 questions times 10."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(store), str(out), str(delay_s)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process):
    """Wait for its good end."""
    with process:
        assert process.wait(timeout=300) == 0


def kill_when(process, condition):
    """Kill it with no chance to tidy up, once a condition holds; says whether it was still at work."""
    with process:
        deadline = time.monotonic() + 300
        while not condition() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def test_killed_three_times_and_resumed_is_as_undisturbed(tmp_path):
    """2,000 questions x 10: the result and the files are the same to the byte, and each run goes on where the last one was."""
    finish(start(tmp_path / "whole", tmp_path / "whole.jsonl", delay_s=0))
    counts = []
    for parts in (4, 11, 20):
        process = start(tmp_path / "torn", tmp_path / "torn.jsonl", delay_s=0.003)
        assert kill_when(process, lambda parts=parts: len(read_parts(tmp_path / "torn")) >= parts)
        counts.append(len(read_parts(tmp_path / "torn")))
    assert counts[0] < counts[1] < counts[2] < 32  # of ceil(2000 / 64) batches
    finish(start(tmp_path / "torn", tmp_path / "torn.jsonl", delay_s=0))

    assert (tmp_path / "torn.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert read_parts(tmp_path / "torn") == read_parts(tmp_path / "whole")
    assert len((tmp_path / "whole.jsonl").read_bytes().splitlines()) == 2000 * 11


def test_two_processes_at_once_do_no_harm(tmp_path):
    """Both end well with the same result, and the store is that of one."""
    finish(start(tmp_path / "one", tmp_path / "one.jsonl", delay_s=0))
    processes = [start(tmp_path / "both", tmp_path / f"{name}.jsonl", delay_s=0.0003) for name in "ab"]
    for process in processes:
        finish(process)

    for name in "ab":
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert read_parts(tmp_path / "both") == read_parts(tmp_path / "one")


def make_sample(question_id="q0", index=0, **fields):
    """A sample."""
    return Sample(question_id=question_id, index=index, prompt="ab", **fields)


def test_what_a_killed_process_left_half_written_is_ignored_and_removed(tmp_path):
    """A torn scratch file is no batch; it goes when the folder is opened next."""
    store = SampleStore(tmp_path, {"model": "a"})
    store.keep(0, [make_sample(text="Ada")])
    torn = store.folder / ".part-00000000-aaaa.jsonl.x1y2.part"
    torn.write_text('{"question_id": "q1", "ind')
    del store
    again = SampleStore(tmp_path, {"model": "a"})

    assert len(again) == 1
    assert again.find("q0", "ab", 0).text == "Ada"
    assert not torn.exists()


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    """While anybody else has the folder open, scratch files may be theirs."""
    first = SampleStore(tmp_path, {"model": "a"})
    scratch = first.folder / ".part-00000000-aaaa.jsonl.x1y2.part"
    scratch.write_text("{")
    second = SampleStore(tmp_path, {"model": "a"})
    assert scratch.exists()

    del first, second
    SampleStore(tmp_path, {"model": "a"})
    assert not scratch.exists()


def test_the_store_finds_by_question_prompt_and_index(tmp_path):
    """Nothing that differs in one of them; the first of two samples stays."""
    store = SampleStore(tmp_path, {"model": "a"})
    store.keep(3, [make_sample(text="Ada"), make_sample(index=1, failure="no answer")])
    store.keep(4, [make_sample(text="Bob")])

    assert store.find("q0", "ab", 0).text == "Ada"
    assert [store.find("q1", "ab", 0), store.find("q0", "cd", 0), store.find("q0", "ab", 1)] == [None] * 3
    assert SampleStore(tmp_path, {"model": "b"}).find("q0", "ab", 0) is None


def test_a_batch_of_failures_leaves_no_file(tmp_path):
    """There is nothing to keep."""
    store = SampleStore(tmp_path, {"model": "a"})
    store.keep(0, [make_sample(failure="no answer")])

    assert read_parts(tmp_path) == {}


def test_a_part_that_somebody_spoiled_is_named(tmp_path):
    """With file and line; an empty file, as a full disk may leave one, is nothing."""
    store = SampleStore(tmp_path, {"model": "a"})
    (store.folder / "part-00000000-empty.jsonl").touch()
    assert len(SampleStore(tmp_path, {"model": "a"})) == 0

    write_records(store.folder / "part-00000001-torn.jsonl", [make_sample()])
    with (store.folder / "part-00000001-torn.jsonl").open("a") as file:
        file.write('{"question_id": "q1", "ind')
    with pytest.raises(DataError, match=r"part-00000001-torn.jsonl:2: not a whole JSON object"):
        SampleStore(tmp_path, {"model": "a"})


def test_the_key_is_there_to_read(make_questions, tmp_path):
    """What the samples depend on stands beside them, with shots in full but without what does not matter."""
    shot = replace(PromptSettings(), shots=make_questions(1, metadata={"popularity": 3}))
    sample_questions(make_questions(2), FakeEngine(), prompt=shot, store=tmp_path)
    (key,) = tmp_path.glob("*/key.json")

    assert '"question": "What is 0?"' in key.read_text()
    assert "popularity" not in key.read_text()
    assert '"seed": 0' in key.read_text()


def test_where_samples_go_by_default(monkeypatch):
    """A folder of the environment, else one below runs."""
    monkeypatch.setenv("NESCIO_SAMPLES", "/somewhere")
    assert str(default_store()) == "/somewhere"
    monkeypatch.delenv("NESCIO_SAMPLES")
    assert str(default_store()) == "runs/samples"
