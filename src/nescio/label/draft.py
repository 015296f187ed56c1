"""A question with what the model said of it before it was trained, for the trained model to judge."""

from __future__ import annotations

from collections.abc import Sequence

from nescio.label.evidence import answer_text
from nescio.models.prompt import render_draft, render_question
from nescio.records import Question, Sample


def render_with_draft(question: Question, samples: Sequence[Sample]) -> str | None:
    """The question with the model's greedy answer and its likelihood below it.

    Args:
        question: What was asked.
        samples: Of this question, in any order.

    Returns:
        None where there is no greedy answer, or none with the log-probabilities of its tokens.
    """
    greedy = next((sample for sample in samples if sample.index == 0 and sample.failure is None), None)
    if greedy is None or not greedy.log_probabilities:
        return None
    return render_draft(render_question(question), answer_text(question, greedy), sum(greedy.log_probabilities))
