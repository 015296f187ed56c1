"""The processes of a distributed launch: the first runs the whole line, the others only train beside it."""

from __future__ import annotations

import os


def is_launched() -> bool:
    """Whether `accelerate launch` or `torchrun` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_helper() -> bool:
    """Whether this process is one of several, and not the first."""
    return is_launched() and os.environ.get("RANK", "0") != "0"


def hear_first_process(word: bool = False, *, cpu: bool) -> bool:
    """What the first process says, in every process; waits until it has spoken.

    Args:
        word: What the first process says; ignored in the others.
        cpu: Whether the model is trained on the processor.
    """
    if not is_launched():
        return word
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=cpu)  # joins the processes, as the trainer will
    said = [word]
    broadcast_object_list(said)
    return said[0]


def part_from_others() -> None:
    """Leave the processes that were joined: one that ends as a member is torn down with an abort."""
    if not is_launched():
        return
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
