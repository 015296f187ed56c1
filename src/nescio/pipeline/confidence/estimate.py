"""Confidence that needs no training, and learned mixes of any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from nescio.config import StatedConfidenceConfig
from nescio.errors import DataError
from nescio.models.load import load_model, load_tokenizer, resolve_model
from nescio.pipeline.confidence.costs import Costs, count_drawn_tokens, count_prompt_tokens, count_row_tokens
from nescio.pipeline.confidence.files import (
    ConfidenceRun,
    greedy_right,
    judged_grades,
    judged_samples,
    run_grades,
    run_questions,
    run_samples,
)
from nescio.records import Confidence, Question, Sample
from nescio.run_folder import identify_model
from nescio.store import sha256_of_json, write_json

if TYPE_CHECKING:
    from nescio.confidence.asked import Shot
    from nescio.confidence.mix import MixKind

OF_ENTROPIES = ("mean_token_entropy", "max_token_entropy")
"""Estimators that read the stored answer once more."""
OF_GREEDY = ("sequence_likelihood", "mean_likelihood", "min_likelihood", "first_token_likelihood", "choice_probability")
"""Estimators that look at the greedy answer's own likelihoods."""
P_TRUE_SHOTS = 4
"""Worked examples of few-shot P(True) with a right answer, and as many with a wrong one."""


def needs_draws(config: StatedConfidenceConfig, part: str) -> bool:
    """Whether anything looks at answers drawn to the questions of a part: soft targets, or an estimator."""
    from nescio.confidence.estimators import ESTIMATORS

    if part == "train":
        return config.targets == "soft"
    return any((name in ESTIMATORS and name not in OF_GREEDY) or name == "p_true_samples" for name in config.estimators)


class Estimating:
    """Estimates by the stored answers that are judged, and by asking the untrained model again."""

    def __init__(self, run: ConfidenceRun, costs: Costs) -> None:
        """Load nothing yet: where all replies are kept, the model is not needed."""
        self._costs = costs
        model = run.config.answering_model
        self._run = run
        self._load = cache(partial(load_model, model.name, dtype=model.dtype, device=model.device))

    def __call__(self, part: str) -> list[Confidence]:
        """By every estimator of the run, one row a question and method."""
        from nescio.confidence.estimators import ESTIMATORS, estimate_confidences

        run, methods = self._run, self._run.config.confidence.estimators
        questions, samples = run_questions(run, part), judged_samples(run, part)
        of_samples = [method for method in methods if method in ESTIMATORS]
        told = estimate_confidences(samples, questions=questions, methods=of_samples) if of_samples else []
        self._count_samples(of_samples, questions, samples)
        for method in methods:
            if method in OF_ENTROPIES:
                told += self._read_entropies(method, part)
            elif method not in ESTIMATORS:
                told += self._ask(method, questions, samples, part)
        return told

    def _count_samples(self, methods: Sequence[str], questions: Sequence[Question], samples: Sequence[Sample]) -> None:
        """Those that look at the greedy answer alone cost nothing; the others share one set of drawn answers."""
        from nescio.pipeline.asking import make_prompt_settings
        from nescio.sample import render_request

        prompt = make_prompt_settings(self._run.config.sample)
        requests = {question.id: render_request(question, prompt, indices=()) for question in questions}
        lengths = {name: count_prompt_tokens(self._tokenizer, [request])[1] for name, request in requests.items()}
        drawn = count_drawn_tokens(samples, lengths)
        for method in methods:
            tokens, whole = (0, 0) if method in OF_GREEDY else drawn
            self._costs.add(method, questions=len(questions), tokens=tokens, tokens_unshared=whole)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(resolve_model(self._run.config.answering_model.name))

    def _ask(self, method: str, questions: Sequence[Question], samples: Sequence[Sample], part: str) -> list[Confidence]:
        from nescio.confidence.answers import AnswerSet, group_answers
        from nescio.confidence.asked import ASKED, AskSettings, estimate_by_asking
        from nescio.models.torch_sampler import TorchSampler

        run, config = self._run, self._run.config
        found = {answers.question_id: answers for answers in group_answers(samples)}
        answers = [found.get(question.id, AnswerSet(question.id, None, (), 0)) for question in questions]
        settings = AskSettings(style=config.sample.style, shots=self._shots, seed=config.seed)
        tokens, whole = count_prompt_tokens(self._tokenizer, ASKED[method].make_requests(questions, answers, settings))
        self._costs.add(method, questions=len(questions), tokens=tokens, tokens_unshared=whole)
        with self._costs.timed(method):
            return estimate_by_asking(
                method,
                TorchSampler(self._load, identity=identify_model(config.answering_model), max_rows=config.confidence.batch_size),
                questions,
                answers,
                settings=settings,
                kept=run.folder / "asked" / f"{method}.{part}.jsonl",
                on_progress=lambda done, total: run.progress.advance("predict", done, total, f"{method}, {part}"),
            )

    @cached_property
    def _shots(self) -> tuple[Shot, ...]:
        """Worked examples of P(True): training questions with an answer that was right, and as many with a wrong one."""
        from nescio.confidence.asked import Shot

        run = self._run
        right = greedy_right(run_grades(run, "train"))
        answers = {one.question_id: one.text for one in run_samples(run, "train") if one.index == 0 and one.text}
        questions = [question for question in run_questions(run, "train") if question.id in right and question.id in answers]
        questions.sort(key=lambda question: sha256_of_json(question.id))
        sides = [[question for question in questions if right[question.id] is side][:P_TRUE_SHOTS] for side in (True, False)]
        pairs = [question for pair in zip(*sides, strict=False) for question in pair]
        return tuple(Shot(question.question, answers[question.id], right[question.id]) for question in pairs)

    def _read_entropies(self, method: str, part: str) -> list[Confidence]:
        from nescio.confidence.asked import token_entropy

        run = self._run
        read = token_entropy.mean_token_entropy if method == "mean_token_entropy" else token_entropy.max_token_entropy
        found, (tokens, whole) = self._entropies(part)
        self._costs.add(method, questions=len(found), tokens=tokens, tokens_unshared=whole)
        estimates = {question.id: read(found.get(question.id)) for question in run_questions(run, part)}
        return [
            Confidence(question_id=question_id, method=method, confidence=one.confidence, reason=one.reason)
            for question_id, one in estimates.items()
        ]

    @cache  # noqa: B019 - lives as long as the stage
    def _entropies(self, part: str) -> tuple[dict[str, Sequence[float]], tuple[int, int]]:
        """Of the next token at each place of the greedy answers, in nats; and the tokens read for them."""
        from nescio.confidence.asked.token_entropy import encode_stored_answer, token_entropies
        from nescio.pipeline.asking import make_prompt_settings
        from nescio.sample import render_request

        run, loaded = self._run, self._load()
        greedy = {one.question_id: one for one in run_samples(run, part) if one.index == 0 and one.failure is None}
        asked = [question for question in run_questions(run, part) if question.id in greedy]
        prompt = make_prompt_settings(run.config.sample)
        encoded = [
            encode_stored_answer(loaded.tokenizer, render_request(question, prompt, indices=()), greedy[question.id])
            for question in asked
        ]
        read = token_entropies(loaded, [one[0] for one in encoded], [one[1] for one in encoded])
        counts = count_row_tokens([[*prompt, *answer[:-1]] for prompt, answer in encoded])
        return {question.id: one for question, one in zip(asked, read, strict=True) if one is not None}, counts


def mix_confidences(run: ConfidenceRun, told: Mapping[str, Sequence[Confidence]]) -> dict[str, list[Confidence]]:
    """Confidences of the run's learned mixes, by part; those of calibration questions by mixes that have not seen their group.

    A method that is silent on every calibration question is left out of them; where there is nothing to learn, the mix is silent
    and says why.
    """
    mixed: dict[str, list[Confidence]] = {part: [] for part in told}
    for kind in run.config.confidence.mixes:
        try:
            of_kind = _mix(run, told, kind)
        except DataError as error:
            silent = {part: dict.fromkeys(row.question_id for row in rows) for part, rows in told.items()}
            of_kind = {
                part: [_silent(question_id, f"mix_{kind}", str(error)) for question_id in ids] for part, ids in silent.items()
            }
        for part, rows in of_kind.items():
            mixed[part] += rows
    return mixed


def _silent(question_id: str, method: str, reason: str) -> Confidence:
    return Confidence(question_id=question_id, method=method, confidence=None, reason=reason)


def _mix(run: ConfidenceRun, told: Mapping[str, Sequence[Confidence]], kind: MixKind) -> dict[str, list[Confidence]]:
    from nescio.confidence.mix import fit_mix

    right = greedy_right(judged_grades(run, "calibration"))
    groups = {question.id: question.group for question in run_questions(run, "calibration")}
    used = [row for row in told["calibration"] if row.question_id in right]
    speaking = list(dict.fromkeys(row.method for row in used if row.confidence is not None))
    if not speaking:
        raise DataError("no method has a confidence to mix")
    fit = fit_mix(used, right, groups, kind=kind, methods=speaking, seed=run.config.seed)
    seen = {row.question_id for row in fit.cross_fitted}
    write_json(run.folder / f"mix_{kind}.json", fit.mix.model_dump(mode="json"))
    mixed = {}
    for part, rows in told.items():
        fresh = fit.mix.apply([row for row in rows if part != "calibration" or row.question_id not in seen])
        by_id = {row.question_id: row for row in [*fresh, *(fit.cross_fitted if part == "calibration" else [])]}
        mixed[part] = [by_id[question.id] for question in run_questions(run, part)]
    return mixed
