"""TRL's trainer with nescio's loss, computed only where there is something to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nescio.errors import TrainingError
from nescio.train.packing import LOSS_INPUTS
from nescio.train.rows import IGNORED

OnStep = Callable[[int, int, float], None]
"""Called with (optimiser steps done, steps in all, loss)."""


def make_trainer(
    *, model: Any, args: Any, logs: Path, on_step: OnStep | None, twin_weight: float, loraplus_lr_ratio: float, **arguments: Any
) -> Any:
    """An SFTTrainer over batches of `nescio.train.packing`.

    Args:
        model: With its adapter.
        args: SFTConfig.
        logs: Folder for TensorBoard's event files.
        on_step: Progress.
        twin_weight: Weight of telling twins apart.
        loraplus_lr_ratio: Learning rate of the B matrices over that of the A matrices.
        arguments: Of SFTTrainer.
    """
    import torch
    from peft.optimizers import create_loraplus_optimizer
    from transformers import PrinterCallback, TrainerCallback
    from transformers.integrations import TensorBoardCallback
    from trl import SFTTrainer

    class Progress(TrainerCallback):  # type: ignore[misc] # untyped library
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if on_step and logs and "loss" in logs:
                on_step(state.global_step, state.max_steps, logs["loss"])

    class DecisionTrainer(SFTTrainer):  # type: ignore[misc] # untyped library
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = loss_of_batch(model, inputs, twin_weight=twin_weight)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss.item()} at step {self.state.global_step + 1}; "
                    "lower train.learning_rate or set model.dtype=float32"
                )
            return (loss, None) if return_outputs else loss

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            super(SFTTrainer, self).log(logs, start_time)  # TRL's own would add metrics of logits that were never computed

    optimizer = None
    if loraplus_lr_ratio != 1:
        optimizer = create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=args.learning_rate,
            loraplus_lr_ratio=loraplus_lr_ratio,
            loraplus_weight_decay=args.weight_decay,
            betas=(args.adam_beta1, args.adam_beta2),
            eps=args.adam_epsilon,
        )
    with _translate_tracker_errors(args.report_to):
        trainer = DecisionTrainer(model=model, args=args, optimizers=(optimizer, None), **arguments)
    trainer.add_callback(Progress())
    trainer.remove_callback(PrinterCallback)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):  # it would write among the checkpoints, which do not stay
            callback.logging_dir = callback.logging_dir or str(logs)
    # The loss is a mean over rows: batches of one step count alike, and no count of tokens has to be handed down.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def loss_of_batch(model: Any, batch: dict[str, Any], *, twin_weight: float) -> Any:
    """The mean loss of the rows of a batch, in nats; see `nescio.train.train_adapter`.

    Args:
        model: Any causal language model that takes `logits_to_keep`.
        batch: As laid out by `nescio.train.packing`.
        twin_weight: Weight of telling twins apart.
    """
    import torch

    labels, weights, twins, twin_weights, rows = (batch[key] for key in LOSS_INPUTS)
    inputs = {key: value for key, value in batch.items() if key not in LOSS_INPUTS}
    # A token's loss is computed from the place before it.
    places = (labels[:, 1:] != IGNORED).any(0).nonzero()[:, 0]
    logits = model(**inputs, logits_to_keep=places, use_cache=False).logits.float()
    targets = labels[:, places + 1]
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    loss = (nll * weights[:, places + 1].flatten()).sum()
    if twin_weight and len(twins):
        row, column = twins.unbind(-1)  # both of shape (pairs, 2)
        of_both = logits[row, torch.searchsorted(places, column - 1)]  # (pairs, 2, vocabulary)
        own = labels[row, column]
        gain = of_both.gather(-1, own[..., None]) - of_both.gather(-1, own.flip(-1)[..., None])
        # log P(right way round) = log sigmoid of both rows' gains together; each pair stands for its two rows.
        wrong_way = torch.nn.functional.softplus(-gain.sum((1, 2)))
        loss = loss + twin_weight * (twin_weights * wrong_way).sum() / rows
    return loss


@contextmanager
def _translate_tracker_errors(trackers: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (ImportError, RuntimeError, ValueError) as error:
        if not trackers:
            raise
        raise TrainingError(f"train.report_to={list(trackers)} cannot be used: {' '.join(str(error).split())}") from error
