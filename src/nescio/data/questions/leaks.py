"""Questions that must not meet: benchmark tests in training data, one question on both sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nescio.data.overlap import find_near_duplicates, normalise_question
from nescio.errors import DataError
from nescio.records import Question


class SharedQuestion(NamedTuple):
    """A question that another list holds too."""

    id: str
    other_id: str
    """The nearest of the other list."""
    similarity: float
    """Jaccard similarity of their character 5-grams, in [0.8, 1]; 1 where they differ in case and punctuation at most."""


def refuse_benchmark_tests(questions: Iterable[Question]) -> None:
    """Stop where questions of a benchmark's test set are offered as training data.

    A question is one by its mark (`benchmark_split` in its metadata), which `load_questions` sets and files keep.
    `find_shared_questions` finds those that came without a mark.

    Raises:
        DataError: At least one question is marked as of a test set; the message counts them by benchmark.
    """
    marked = [question for question in questions if question.metadata.get("benchmark_split") == "test"]
    if marked:
        counts = Counter(str(question.metadata.get("benchmark")) for question in marked)
        listed = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
        raise DataError(
            f"benchmark test questions must not be trained on: {listed} (first '{marked[0].id}'); take another split of it"
        )


def find_shared_questions(questions: Sequence[Question], others: Sequence[Question]) -> list[SharedQuestion]:
    """Questions of which the other list holds a near-duplicate (character 5-gram Jaccard >= 0.8), context aside.

    Returns:
        One for each such question, in the order of the first list.
    """
    ids: dict[str, str] = {}
    for other in others:
        ids.setdefault(normalise_question(other.question), other.id)
    texts = [normalise_question(question.question) for question in questions]
    distinct = list(dict.fromkeys([*ids, *texts]))
    nearest: dict[str, tuple[float, str]] = {text: (1.0, text) for text in ids}
    for pair in find_near_duplicates(distinct):
        for text, other_text in ((distinct[pair.first], distinct[pair.second]), (distinct[pair.second], distinct[pair.first])):
            if other_text in ids:
                nearest[text] = max(nearest.get(text, (0.0, "")), (pair.similarity, other_text))
    return [
        SharedQuestion(question.id, ids[nearest[text][1]], nearest[text][0])
        for question, text in zip(questions, texts, strict=True)
        if text in nearest
    ]


def join_near_duplicates(questions: Sequence[Question]) -> list[Question]:
    """Give questions that are near-duplicates one group, with all that is of their groups.

    The group's name is that of its first question. Questions of one template are near-duplicates where their entities are
    short, and chains of them make large groups: for sets that name their entities, the groups they come with serve better.
    It compares texts, not meanings.
    """
    root = {question.group: question.group for question in questions}
    group_of: dict[str, str] = {}

    def find(group: str) -> str:
        while root[group] != group:
            root[group] = group = root[root[group]]
        return group

    by_text: defaultdict[str, list[str]] = defaultdict(list)
    for question in questions:
        by_text[normalise_question(question.question, question.context)].append(question.group)
    texts = list(by_text)
    pairs = [(group, groups[0]) for groups in by_text.values() for group in groups]
    pairs += [(by_text[texts[pair.first]][0], by_text[texts[pair.second]][0]) for pair in find_near_duplicates(texts)]
    for one, other in pairs:
        root[find(one)] = find(other)
    for question in questions:
        group_of.setdefault(find(question.group), question.group)
    return [question.model_copy(update={"group": group_of[find(question.group)]}) for question in questions]
