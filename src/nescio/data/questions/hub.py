"""Rows of a data set of the Hugging Face hub, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nescio.data.questions.tables import SourceRow
from nescio.errors import DataError


def read_hub(hub_id: str, *, config: str | None, split: str) -> Iterator[SourceRow]:
    """Stream the rows of one split: what is not asked for is not downloaded.

    Raises:
        DataError: The data set, its configuration or its split cannot be found or fetched.
    """
    from datasets import load_dataset

    name = f"{hub_id} ({config})" if config else hub_id
    number = 0
    with _translate_hub_errors(f"split '{split}' of '{name}'"):
        for number, cells in enumerate(load_dataset(hub_id, name=config, split=split, streaming=True), start=1):
            yield SourceRow(f"{name}, split '{split}': row {number}", cells)


def find_only_split(hub_id: str, *, config: str | None) -> str:
    """The split of a data set that has one.

    Raises:
        DataError: It has several (the message names them), or cannot be found.
    """
    from datasets import get_dataset_split_names

    with _translate_hub_errors(f"'{hub_id}'"):
        splits = get_dataset_split_names(hub_id, config)
    if len(splits) != 1:
        raise DataError(f"'{hub_id}' has several splits; choose one: {', '.join(splits)}")
    return str(splits[0])


@contextmanager
def _translate_hub_errors(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of datasets, its file systems, its HTTP clients and the builders: there is no common root
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"cannot read {what} from the hub: {reason}; check the id, the split and the connection, or download a file of it"
        ) from error
