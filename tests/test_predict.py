"""Predictions: valid by construction, independent of company, with probabilities that the model itself would give."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nescio.errors import StoreError
from nescio.models.load import LoadedModel
from nescio.models.prompt import build_messages, encode_messages
from nescio.models.tiny import ARCHITECTURES
from nescio.models.torch_engine import common_prefix
from nescio.predict import ReplyGrammar, Row, make_chooser, predict, predict_resumably
from nescio.records import DECISIONS, EVIDENCE_QUALITIES, Example, Prediction

SHORT: dict[str, Any] = {"max_answer_chars": 12, "max_justification_chars": 12}


@pytest.fixture
def questions(make_example: Callable[..., Example]) -> list[Example]:
    """Ten questions of unequal length, half of them with a context."""
    return [make_example(f"q{n}", question="Who? " + "x" * 3 * n, context="Ada won. " * n if n % 2 else None) for n in range(10)]


def read_reply(prediction: Prediction) -> tuple[Any, ...]:
    """Everything that is decoded, without the probabilities, whose last bits depend on the batch."""
    return (
        prediction.decision,
        prediction.answer,
        prediction.justification,
        prediction.evidence_quality,
        prediction.forced_answer,
    )


# --- independence of the batch


@pytest.mark.parametrize(
    ("architecture", "temperature"),
    [("llama", 0.0), ("qwen3", 0.0), ("gemma3", 0.0), ("ernie4_5", 0.0), ("llama", 1.0), ("gemma3", 4.0)],
)
def test_company_and_order_do_not_change_a_prediction(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example], architecture: str, temperature: float
) -> None:
    """Batches of 1, 3 and 64, forwards, backwards and shuffled, give the same replies; drawn ones too."""
    loaded = tiny_model(architecture)
    expected = predict(loaded, questions, batch_size=1, temperature=temperature, seed=5, **SHORT)
    shuffled = random.Random(0).sample(questions, k=len(questions))
    for batch_size, examples in [(3, questions), (64, questions[::-1]), (3, shuffled), (64, questions[4:5])]:
        for prediction in predict(loaded, examples, batch_size=batch_size, temperature=temperature, seed=5, **SHORT):
            alone = next(p for p in expected if p.id == prediction.id)

            assert read_reply(prediction) == read_reply(alone)
            assert prediction.confidence == pytest.approx(alone.confidence, abs=1e-5)


def test_draws_depend_on_seed_and_id(tiny_model: Callable[[str], LoadedModel], make_example: Callable[..., Example]) -> None:
    """The same question under another id, or another seed, is another draw; the same id and seed the same."""
    loaded = tiny_model("llama")
    twins = [make_example(id, question="Who won?") for id in ("a", "b")]
    first = [read_reply(p) for p in predict(loaded, twins, temperature=1.0, seed=1, **SHORT)]
    again = [read_reply(p) for p in predict(loaded, twins[::-1], temperature=1.0, seed=1, **SHORT)][::-1]
    other = [read_reply(p) for p in predict(loaded, twins, temperature=1.0, seed=2, **SHORT)]

    assert first == again
    assert len({*first, *other}) == 4


def test_results_come_in_the_order_of_the_examples_and_are_announced_once(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example]
) -> None:
    """Rows finish in any order; the list does not show it."""
    announced: list[Prediction] = []
    predictions = predict(tiny_model("llama"), questions, batch_size=3, on_prediction=announced.append, **SHORT)

    assert [p.id for p in predictions] == [e.id for e in questions]
    assert sorted(announced, key=lambda p: p.id) == sorted(predictions, key=lambda p: p.id)


def test_forced_answers_are_left_out_on_request_and_change_nothing_else(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example]
) -> None:
    """Whoever only serves decisions saves their cost; the replies are the same."""
    whole = predict(tiny_model("llama"), questions, max_answer_chars=20, max_justification_chars=20)
    bare = predict(tiny_model("llama"), questions, max_answer_chars=20, max_justification_chars=20, force_answers=False)

    assert any(prediction.forced_answer for prediction in whole)
    assert bare == [prediction.model_copy(update={"forced_answer": None}) for prediction in whole]


def test_no_examples_give_no_predictions(tiny_model: Callable[[str], LoadedModel]) -> None:
    """An empty list is not an error."""
    assert predict(tiny_model("llama"), []) == []


# --- the schema


def assert_valid(prediction: Prediction, *, answer: int, justification: int) -> None:
    """A prediction obeys the schema: labels, lengths in characters, a forced answer where one is due."""
    assert prediction.failure is None
    assert prediction.decision in DECISIONS
    assert prediction.evidence_quality in EVIDENCE_QUALITIES
    assert prediction.answer is not None
    assert prediction.justification is not None
    assert 1 <= len(prediction.answer) <= answer
    assert 1 <= len(prediction.justification) <= justification
    assert (prediction.forced_answer is not None) == (prediction.decision != "correct")
    if prediction.forced_answer is not None:
        assert 1 <= len(prediction.forced_answer) <= answer
    assert prediction.probabilities is not None
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert prediction.confidence == prediction.probabilities["correct"]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 5.0])
def test_every_reply_obeys_the_schema(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example], temperature: float
) -> None:
    """Replies of a random model over several seeds and limits all parse and keep to them."""
    decisions = Counter()
    for seed in range(4 if temperature else 1):
        limits = {"max_answer_chars": 1 + 3 * seed, "max_justification_chars": 10 - 3 * seed}
        for prediction in predict(tiny_model("llama"), questions[:6], temperature=temperature, seed=seed, **limits):
            assert_valid(prediction, answer=1 + 3 * seed, justification=10 - 3 * seed)
            decisions[prediction.decision] += 1

    if temperature == 5.0:
        assert set(decisions) == set(DECISIONS)  # with a forced answer and without


# --- probabilities


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shots", [0, 2])
def test_decision_probabilities_are_those_of_a_plain_forward_pass(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example], architecture: str, shots: int
) -> None:
    """P(decision) is the product of its label's token probabilities, normalised over the three labels."""
    loaded = tiny_model(architecture)
    grammar = ReplyGrammar(loaded, **SHORT)
    examples, worked = questions[:4], questions[4 : 4 + shots]
    predictions = predict(loaded, examples, shots=worked, batch_size=3, **SHORT)

    assert {len(label) for label in grammar.labels.values()} >= {1, 2}  # labels of one token and of several
    for example, prediction in zip(examples, predictions, strict=True):
        prompt = encode_messages(loaded.tokenizer, build_messages(example.question, example.context, shots=worked))
        joint = [
            math.exp(label_log_probability(loaded.model, [*prompt, *grammar.opening], grammar.labels[decision]))
            for decision in DECISIONS
        ]

        assert prediction.probabilities is not None
        assert list(prediction.probabilities) == list(DECISIONS)
        assert list(prediction.probabilities.values()) == pytest.approx([p / sum(joint) for p in joint], rel=1e-3)


def label_log_probability(model: Any, before: list[int], label: list[int]) -> float:
    """Sum of the log-probabilities of a label's tokens, by one ordinary forward pass."""
    import torch

    with torch.no_grad():
        log_probabilities = model(torch.tensor([before + label])).logits[0].double().log_softmax(-1)
    return sum(log_probabilities[len(before) - 1 + place, token].item() for place, token in enumerate(label))


def test_a_greedy_decision_is_the_most_probable_one(tiny_model: Callable[[str], LoadedModel], questions: list[Example]) -> None:
    """At temperature 0 the decision is the argmax of the probabilities shown beside it."""
    for prediction in predict(tiny_model("llama"), questions, **SHORT):
        assert prediction.probabilities is not None
        assert prediction.decision == max(DECISIONS, key=prediction.probabilities.__getitem__)


def test_a_drawn_decision_follows_the_probabilities(
    tiny_model: Callable[[str], LoadedModel], make_example: Callable[..., Example]
) -> None:
    """At temperature 1, 200 draws of one question are spread like P(decision)."""
    examples = [make_example(f"draw{n}", question="Who?") for n in range(200)]
    predictions = predict(
        tiny_model("llama"), examples, batch_size=200, temperature=1.0, max_answer_chars=1, max_justification_chars=1
    )
    expected = predictions[0].probabilities
    counts = Counter(p.decision for p in predictions)

    assert expected is not None
    assert sorted(expected.values())[1] > 0.1  # at least two decisions in play, or the test would be empty
    assert_spread_like(expected, counts, draws=200)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_tempered_distribution(temperature: float) -> None:
    """4,000 ids draw from softmax(logits / T); what has no probability is never drawn."""
    logits = np.array([0.0, -np.inf, 1.0, -1.0, -np.inf])
    weights = {place: math.exp(logit / temperature) for place, logit in enumerate(logits)}
    expected = {place: weight / sum(weights.values()) for place, weight in weights.items()}
    counts = Counter(make_chooser(temperature, f"id{n}")(logits) for n in range(4000))

    assert counts[1] == counts[4] == 0
    assert_spread_like(expected, counts, draws=4000)


def assert_spread_like(expected: dict[Any, float], counts: Counter[Any], *, draws: int) -> None:
    """Within 4 standard deviations of the binomial: one seed in 16,000 would fail by chance, and seeds are fixed."""
    for outcome, probability in expected.items():
        deviation = math.sqrt(probability * (1 - probability) / draws)

        assert counts[outcome] / draws == pytest.approx(probability, abs=4 * deviation)


# --- one bad item


def test_a_prompt_beyond_the_window_is_a_failure_of_its_own(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example], make_example: Callable[..., Example]
) -> None:
    """The long item says why it failed, in its place; the others are as if it were not there."""
    loaded = tiny_model("llama")
    long = make_example("long", context="Ada won. " * 800)
    predictions = predict(loaded, [questions[0], long, questions[1]], **SHORT)
    others = predict(loaded, questions[:2], **SHORT)

    assert predictions[1].decision is None
    assert predictions[1].confidence is None
    assert "window leaves room for 1960" in (predictions[1].failure or "")  # 2,048 - 12 - 12 - 64
    assert [read_reply(p) for p in (predictions[0], predictions[2])] == [read_reply(p) for p in others]


def test_items_that_all_fail_need_no_model(
    tiny_model: Callable[[str], LoadedModel], make_example: Callable[..., Example]
) -> None:
    """Where no item fits, every item has its failure."""
    predictions = predict(tiny_model("llama"), [make_example("a")], max_answer_chars=5000)

    assert "leaves room for 0" in (predictions[0].failure or "")


def test_logits_that_are_no_numbers_are_a_failure(
    tiny_folder: Callable[[str], Path], make_example: Callable[..., Example]
) -> None:
    """A model that overflows gives a recorded failure, neither an invented answer nor the end of the run."""
    from nescio.models.load import load_model

    loaded = load_model(str(tiny_folder("llama")), dtype="float32", device="cpu")
    loaded.model.model.norm.weight.data.fill_(float("nan"))
    (prediction,) = predict(loaded, [make_example("a")], temperature=1.0, **SHORT)

    assert prediction.decision is None
    assert "not finite" in (prediction.failure or "")


def greedily(logits: Any) -> int:
    """The most probable token."""
    return int(logits.argmax())


def test_logits_that_break_down_within_the_reply_are_a_failure(
    tiny_model: Callable[[str], LoadedModel], make_example: Callable[..., Example]
) -> None:
    """Numbers that vanish after the decision leave a failure, not an answer of forbidden tokens."""
    import torch

    grammar = ReplyGrammar(tiny_model("llama"), **SHORT)
    fine = torch.zeros(len(tiny_model("llama").tokenizer))
    row = Row(make_example("a"), [5], grammar, choose=greedily, choose_forced=greedily)
    program = row.decode()
    next(program)
    for _ in range(1 + sum(len(label) - 1 for label in grammar.labels.values())):  # one pass reads all first label tokens
        program.send(fine)
    program.send(fine)
    with pytest.raises(StopIteration):
        program.send(fine * float("nan"))

    assert row.prediction().decision is None
    assert "not finite" in (row.prediction().failure or "")


def test_the_model_is_itself_again_after_a_callback_fails(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example]
) -> None:
    """An exception of the caller's passes through and leaves the model's own attention behind."""
    loaded = tiny_model("gemma3")
    before = loaded.model.config._attn_implementation

    def fail(prediction: Prediction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(loaded, questions, batch_size=2, on_prediction=fail, **SHORT)

    assert loaded.model.config._attn_implementation == before


# --- where a field ends: replies written by hand, in tokens of every size

LIMIT = 30
ANSWERS = [
    "Ada",
    "Ada.",
    "a" * LIMIT,  # the closing quote is forced
    'She said "no".',
    '"',
    "two\nlines\tand more",
    "back\\",
    '\\"',
    '", "justification": "',
    'x, "justification": "y"}',
    '"}',
    "\x00",  # written as a \\u escape, of which two noughts are forced: tokens without choice in the midst of a string
    "bell \x07 and \x1f",
    "Zürich, 東京, 😀",
    "😀" * LIMIT,
    '"' * LIMIT,
    " ",
]


def train_large_tokenizer() -> Any:
    """A tokenizer whose tokens span the ends of fields, such as `", "justification": "`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<e>"], initial_alphabet=alphabet, show_progress=False)
    replies = [reply(d, a, "It is so.", q) for d in DECISIONS for a in ("Ada.", "It is.", "no") for q in EVIDENCE_QUALITIES]
    tokenizer.train_from_iterator(replies, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>")


def make_sentencepiece_tokenizer() -> Any:
    """One token a character, in the manner of SentencePiece: a text begins with a space of its own, rare signs fall to bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    signs = ["<e>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    vocabulary = {sign: number for number, sign in enumerate(signs)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>")


def reply(decision: str, answer: str, justification: str, quality: str) -> str:
    """A reply as a training row has it."""
    fields = {"decision": decision, "answer": answer, "justification": justification, "evidence_quality": quality}
    return json.dumps(fields, ensure_ascii=False)


class Scribe:
    """Plays the model: gives all weight to the tokens of a reply that is known beforehand."""

    def __init__(self, tokenizer: Any, *, large: bool) -> None:
        output = SimpleNamespace(weight=np.zeros((len(tokenizer), 1)))
        loaded = LoadedModel(SimpleNamespace(get_output_embeddings=lambda: output), tokenizer)
        self.grammar = ReplyGrammar(loaded, max_answer_chars=LIMIT, max_justification_chars=LIMIT)
        self.large = large
        ll_tokenizer = self.grammar._ll_tokenizer
        self.decode = ll_tokenizer.decode_bytes
        size = len(tokenizer)
        self.pieces = {n: self.decode([n]) for n in range(size) if not ll_tokenizer.is_special_token(n)}

    def write(self, text: str, decision: Any, *, answer_only: bool = False) -> str:
        """What a row makes of the reply `text`."""
        row = Row(None, [], self.grammar, choose=greedily, choose_forced=greedily)  # type: ignore[arg-type]
        program = row._write(decision, greedily, start=0, answer_only=answer_only)
        next(program)
        left = text.partition(f'"{decision}", "answer": "')[2].encode()
        while left:
            try:
                feed = program.send(self._logits(left))
            except StopIteration as end:
                return str(end.value)
            written = self.decode(list(feed.tokens))

            assert left.startswith(written)
            left = left[len(written) :]
        raise AssertionError("the row goes on behind the end of the reply")

    def _logits(self, left: bytes) -> Any:
        import torch

        fitting = [token for token, piece in self.pieces.items() if piece and left.startswith(piece)]
        chosen = (max if self.large else min)(fitting, key=lambda token: len(self.pieces[token]))
        logits = torch.zeros(self.grammar._vocabulary)
        logits[chosen] = 1
        return logits


@pytest.fixture(scope="module")
def scribes(tiny_model: Callable[[str], LoadedModel]) -> dict[str, Scribe]:
    """Tokenizers of every kind: single bytes, tokens that span fields, SentencePiece."""
    return {
        "bytes": Scribe(tiny_model("llama").tokenizer, large=False),
        "large": Scribe(train_large_tokenizer(), large=True),
        "sentencepiece": Scribe(make_sentencepiece_tokenizer(), large=False),
    }


KINDS = ["bytes", "large", "sentencepiece"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_a_reply_is_written_to_its_end_whatever_the_answer(scribes: dict[str, Scribe], kind: str, answer: str) -> None:
    """The reply ends at its closing brace, neither before nor after, in tokens of every size."""
    for text in (reply("uncertain", answer, "It is.", "low"), reply("refuse", "no", answer, "medium")):
        decision = json.loads(text)["decision"]

        assert scribes[kind].write(text, decision) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_a_forced_answer_ends_at_its_own_closing_quote(scribes: dict[str, Scribe], kind: str, answer: str) -> None:
    """Quotes, field names and forced tokens within the answer do not end it; the field behind it does not leak in."""
    text = reply("correct", answer, "It is so.", "high")
    written = scribes[kind].write(text, "correct", answer_only=True)

    assert json.loads(written) == {"decision": "correct", "answer": answer}


@pytest.mark.parametrize("kind", KINDS)
def test_random_replies_full_of_escapes_parse(scribes: dict[str, Scribe], kind: str) -> None:
    """Random bytes with a liking for quotes, backslashes and four-byte signs: 60 replies keep the schema and its lengths."""
    import torch

    scribe, seen = scribes[kind], Counter()
    liked = [n for n, piece in scribe.pieces.items() if piece in (b"\\", b"u", b'"', b"n", b"\xf0", b"\x9f")]
    for seed in range(60):
        torch.manual_seed(seed)
        answer_only = seed % 2 == 1
        draw = make_chooser(1.0, f"a{seed}")
        row = Row(None, [], scribe.grammar, choose=draw, choose_forced=draw)  # type: ignore[arg-type]
        program = row._write("refuse", draw, start=0, answer_only=answer_only)
        next(program)
        fields = json.loads(run_to_end(program, lambda: _random_logits(scribe, liked)))

        assert list(fields) == ["decision", "answer"] + ([] if answer_only else ["justification", "evidence_quality"])
        assert all(1 <= len(fields[key]) <= LIMIT for key in fields.keys() & {"answer", "justification"})
        seen.update(fields["answer"])
    assert seen['"'] and seen["\\"] and any(ord(sign) < 32 for sign in seen) and any(ord(sign) > 0xFFFF for sign in seen)


def _random_logits(scribe: Scribe, liked: list[int]) -> Any:
    import torch

    logits = torch.randn(scribe.grammar._vocabulary)
    logits[liked] += 3
    return logits


def run_to_end(program: Any, make_logits: Callable[[], Any]) -> str:
    """Feed a row until it returns its text."""
    for _ in range(2000):
        try:
            program.send(make_logits())
        except StopIteration as end:
            return str(end.value)
    raise AssertionError("the row does not end")


def test_the_large_tokens_do_span_fields(scribes: dict[str, Scribe]) -> None:
    """The tokenizer of the tests above has the tokens that they are about."""
    pieces = set(scribes["large"].pieces.values())

    assert any(b'", "justification": "' in piece for piece in pieces)
    assert any(piece.endswith(b'"}') and len(piece) > 2 for piece in pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_opening_and_labels_are_the_tokens_of_a_training_row(scribes: dict[str, Scribe], kind: str) -> None:
    """Opening and label are where a training row has them, and no two labels are the same."""
    scribe = scribes[kind]
    for decision in DECISIONS:
        row = scribe.grammar._tokenizer(reply(decision, "Ada.", "So.", "low"), add_special_tokens=False)["input_ids"]
        beginning = [*scribe.grammar.opening, *scribe.grammar.labels[decision]]

        assert row[: len(beginning)] == beginning
    assert len({tuple(label) for label in scribe.grammar.labels.values()}) == 3


def test_common_prefix_leaves_every_row_a_token() -> None:
    """A row that is the beginning of another, or its equal, keeps its last token."""
    assert common_prefix([[1, 2, 3], [1, 2, 3]]) == [1, 2]
    assert common_prefix([[1, 2], [1, 2, 3]]) == [1]
    assert common_prefix([[1], [1, 2]]) == []
    assert common_prefix([[4, 5], [6, 5]]) == []


# --- resuming


class Recorder:
    """Predicts by rule and notes what it was asked."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.chunks: list[list[str]] = []
        self.fail_at = fail_at

    def __call__(self, examples: Sequence[Example]) -> list[Prediction]:
        """A failure a row: the shortest valid prediction; its text names the chunk."""
        if len(self.chunks) == self.fail_at:
            raise KeyboardInterrupt
        self.chunks.append([example.id for example in examples])
        return [Prediction(id=e.id, decision=None, failure="with " + examples[0].id) for e in examples]


def test_chunks_are_cut_in_order_and_counted(tmp_path: Path, questions: list[Example]) -> None:
    """Ten examples in chunks of four are three chunks, and progress ends at the number of examples."""
    recorder, progress = Recorder(), []
    done = predict_resumably(
        recorder, questions, partial=tmp_path / "deep" / "p.jsonl", chunk_rows=4, on_chunk=lambda *count: progress.append(count)
    )

    assert recorder.chunks == [["q0", "q1", "q2", "q3"], ["q4", "q5", "q6", "q7"], ["q8", "q9"]]
    assert progress == [(4, 10), (8, 10), (10, 10)]
    assert list(done) == [e.id for e in questions]


def test_finished_chunks_are_not_computed_again(tmp_path: Path, questions: list[Example]) -> None:
    """A run killed in its third chunk resumes with it, and ends where an undisturbed run ends."""
    partial = tmp_path / "p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        predict_resumably(Recorder(fail_at=2), questions, partial=partial, chunk_rows=4)
    resumed = Recorder()
    done = predict_resumably(resumed, questions, partial=partial, chunk_rows=4)

    assert resumed.chunks == [["q8", "q9"]]
    assert done == predict_resumably(Recorder(), questions, partial=tmp_path / "undisturbed.jsonl", chunk_rows=4)
    assert predict_resumably(Recorder(fail_at=0), questions, partial=partial, chunk_rows=4) == done


@pytest.mark.parametrize("damage", ["torn", "no line end", "zeros"])
def test_a_torn_line_costs_its_chunk_and_no_other(tmp_path: Path, questions: list[Example], damage: str) -> None:
    """A power cut leaves half a line, a line without its end, or zeros: the chunk is computed again as a whole."""
    partial = tmp_path / "p.jsonl"
    expected = predict_resumably(Recorder(), questions, partial=partial, chunk_rows=4)
    lines = partial.read_bytes().splitlines(keepends=True)
    last = {"torn": lines[6][:9], "no line end": lines[6][:-1], "zeros": bytes(40) + b"\n"}[damage]
    partial.write_bytes(b"".join(lines[:6]) + last)
    recorder = Recorder()
    done = predict_resumably(recorder, questions, partial=partial, chunk_rows=4)

    assert recorder.chunks == [["q4", "q5", "q6", "q7"], ["q8", "q9"]]
    assert done == expected
    assert all(Prediction.model_validate_json(line) for line in partial.read_bytes().splitlines())  # nothing torn is left


def test_a_resumed_run_repeats_the_undisturbed_run_to_the_last_bit(
    tiny_model: Callable[[str], LoadedModel], questions: list[Example], tmp_path: Path
) -> None:
    """With a real model, too, what was read back from disk equals what was computed."""

    def run(examples: Sequence[Example]) -> list[Prediction]:
        return predict(tiny_model("llama"), examples, temperature=1.0, **SHORT)

    partial = tmp_path / "p.jsonl"
    whole = predict_resumably(run, questions, partial=partial, chunk_rows=4)
    lines = partial.read_bytes().splitlines(keepends=True)
    partial.write_bytes(b"".join(lines[:5]) + lines[5][:20])

    assert predict_resumably(run, questions, partial=partial, chunk_rows=4) == whole


def test_a_partial_file_that_cannot_be_written_is_one_line(tmp_path: Path, questions: list[Example]) -> None:
    """A folder in the file's place is the user's to mend."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="file"):
        predict_resumably(Recorder(), questions, partial=tmp_path / "file" / "p.jsonl", chunk_rows=4)
