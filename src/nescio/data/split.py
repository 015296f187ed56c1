"""Splits that share nothing: whole groups, near-duplicates kept together, every pattern in every split."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from nescio.data.overlap import find_near_duplicates, normalise_question
from nescio.errors import ConfigError, DataError
from nescio.records import SPLITS, Example


def split_by_group(
    examples: Iterable[Example], *, ratios: Sequence[float] = (0.55, 0.15, 0.30), seed: int = 0
) -> dict[str, list[Example]]:
    """Deal examples into train, calibration and test.

    A group is never divided, and groups of which any rows are near-duplicates (character 5-gram Jaccard >= 0.8) go
    together. Patterns are dealt one after the other, each block to the split that is furthest behind its ratio, so that
    both the whole and each pattern come within a block or two of the ratios.

    Args:
        examples: In any order: the result does not depend on it.
        ratios: Shares of train, calibration and test; each above 0, together 1.
        seed: Of the order within a pattern.

    Returns:
        Rows by split, sorted by group and id.

    Raises:
        ConfigError: The ratios are not three shares above 0 that add up to 1.
        DataError: There are too few separate groups to fill every split.
    """
    if len(ratios) != len(SPLITS) or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ConfigError(f"ratios must be three shares above 0 that add up to 1 (train, calibration, test), got {tuple(ratios)}")
    blocks = _gather_blocks(sorted(examples, key=lambda example: (example.group, example.id)))
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    dealt = 0
    for block in _order_blocks(blocks, seed=seed):
        dealt += len(block)
        missing = [ratio * dealt - len(splits[split]) for split, ratio in zip(SPLITS, ratios, strict=True)]
        splits[SPLITS[missing.index(max(missing))]].extend(block)
    empty = [split for split, rows in splits.items() if not rows]
    if empty:
        raise DataError(f"{len(blocks)} separate groups are too few to fill {', '.join(empty)}; add groups or change the ratios")
    return {split: sorted(rows, key=lambda example: (example.group, example.id)) for split, rows in splits.items()}


def _gather_blocks(examples: Sequence[Example]) -> list[list[Example]]:
    """Rows that must stay together: connected components of groups that share a question."""
    groups_of: defaultdict[str, list[str]] = defaultdict(list)
    for example in examples:
        groups_of[normalise_question(example.question, example.context)].append(example.group)
    root = {example.group: example.group for example in examples}

    def find(group: str) -> str:
        while root[group] != group:
            root[group] = group = root[root[group]]
        return group

    texts = list(groups_of)
    for groups in groups_of.values():
        for group in groups:
            root[find(group)] = find(groups[0])
    for pair in find_near_duplicates(texts):
        root[find(groups_of[texts[pair.first]][0])] = find(groups_of[texts[pair.second]][0])
    blocks: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        blocks[find(example.group)].append(example)
    return list(blocks.values())


def _order_blocks(blocks: Iterable[list[Example]], *, seed: int) -> list[list[Example]]:
    """Pattern by pattern, shuffled, large blocks first: small ones then even out what a large one upset."""
    by_pattern: defaultdict[str, list[list[Example]]] = defaultdict(list)
    for block in blocks:
        by_pattern[_main_pattern(block)].append(block)
    ordered: list[list[Example]] = []
    for pattern in sorted(by_pattern):
        members = by_pattern[pattern]
        random.Random(f"{seed}:{pattern}").shuffle(members)
        ordered += sorted(members, key=len, reverse=True)
    return ordered


def _main_pattern(block: Sequence[Example]) -> str:
    counts = Counter(example.pattern for example in block)
    return min(counts, key=lambda pattern: (-counts[pattern], pattern))
