"""Asking the untrained model, and choosing by its greedy answers what it is trained on."""

from __future__ import annotations

from collections.abc import Sequence

from nescio.config import ConfidenceConfig, HonestyConfig, SampleConfig
from nescio.errors import DataError
from nescio.grade import grade_samples
from nescio.label.choose import choose_questions
from nescio.models.engine import DrawSettings
from nescio.models.load import load_model
from nescio.models.torch_sampler import TorchSampler
from nescio.records import Question, Sample, Verdict
from nescio.run_folder import Progress, identify_model
from nescio.sample import PromptSettings, sample_questions
from nescio.sample.prompts import SHOTS


class Asker:
    """Asks the untrained model through the common store."""

    def __init__(self, config: HonestyConfig | ConfidenceConfig, progress: Progress) -> None:
        """Load nothing yet: where the store holds all samples, the model is not needed."""
        self._config = config
        self._progress = progress
        model = config.answering_model
        self._engine = TorchSampler(
            lambda: load_model(model.name, dtype=model.dtype, device=model.device),
            identity=identify_model(model),
            max_rows=config.sample.batch_size,
        )

    def __call__(self, questions: Sequence[Question], *, n: int, note: str) -> list[Sample]:
        """Ask questions; n drawn answers each and the greedy one."""
        config = self._config
        return sample_questions(
            questions,
            self._engine,
            n=n,
            settings=DrawSettings(
                temperature=config.sample.temperature, max_new_tokens=config.sample.max_new_tokens, seed=config.seed
            ),
            prompt=make_prompt_settings(config.sample),
            store=config.sample.store,
            batch_questions=config.sample.batch_questions,
            on_progress=lambda done, total: self._progress.advance("sample", done, total, note),
        )


def make_prompt_settings(sample: SampleConfig) -> PromptSettings:
    """How a run puts its questions."""
    return PromptSettings(style=sample.style, shots=SHOTS[: sample.shots], options=sample.options)


def choose_training_questions(
    questions: Sequence[Question], greedy: Sequence[Sample], *, balance: float | None, limit: int | None, seed: int
) -> list[Question]:
    """The training questions in the balance of known and unknown; invented ones come along in their share.

    Raises:
        DataError: None is left.
    """
    grades = {g.question_id: g.verdict for g in grade_samples(questions, greedy)}
    real = {q.id: _is_known(grades[q.id]) for q in questions if q.answerable is not False}
    if not real:
        raise DataError(f"all {len(questions)} training questions are marked as not answerable; add some that can be answered")
    reasons = choose_questions(real, balance=balance, limit=limit, seed=seed)
    kept = {id for id, reason in reasons.items() if reason is None}
    if not kept:
        sides = {side: sum(known is side for known in real.values()) for side in (True, False, None)}
        raise DataError(
            f"label.balance={balance} leaves no training question: of {len(real)}, the model answers {sides[True]} right, "
            f"{sides[False]} not, {sides[None]} ungraded; ask other questions, or set label.balance=null to keep all"
        )
    invented = [q.id for q in questions if q.answerable is False]
    share = len(kept) / len(real)
    kept |= set(invented[: round(share * len(invented))])
    return [q for q in questions if q.id in kept]


def _is_known(verdict: Verdict) -> bool | None:
    return None if verdict == "ungraded" else verdict == "correct"
