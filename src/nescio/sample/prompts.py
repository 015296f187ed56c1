"""How a question is put to a model that is only asked, not trained: few worked examples or none, as a chat or as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from nescio.errors import ConfigError
from nescio.models.engine import SampleRequest
from nescio.models.prompt import Message
from nescio.records import Question
from nescio.store import sha256_of_json

Style = Literal["chat", "plain"]
OptionForm = Literal["letters", "texts"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INSTRUCTION = "Answer the question as briefly as you can."

SHOTS = tuple(
    Question(id=f"shot-{number}", group=f"shot-{number}", question=question, answers=(answer,))
    for number, (question, answer) in enumerate(
        [
            ("Who wrote the play Romeo and Juliet?", "William Shakespeare"),
            ("How many legs does a spider have?", "8"),
            ("In which year did the Second World War end?", "1945"),
            ("Which metal is liquid at room temperature?", "Mercury"),
            ("What do bees make?", "Honey"),
        ]
    )
)
"""Worked examples for open questions, of no data set's and none of the question bank's."""


@dataclass(frozen=True)
class PromptSettings:
    """How questions are put; a part of the samples' key."""

    style: Style = "chat"
    """By the chat template, or as text to go on from."""
    instruction: str = INSTRUCTION
    """The system turn, or the first line of the plain text; may be empty in plain text."""
    options: OptionForm = "letters"
    """What a multiple-choice question is answered with: the letter of a listed option, or an option's text with none listed."""
    shots: tuple[Question, ...] = SHOTS
    """Worked examples; those of open questions stand before open ones only, those with options before such."""


def render_request(question: Question, settings: PromptSettings, *, indices: Sequence[int]) -> SampleRequest:
    """Put a question, with the worked examples of its kind.

    Raises:
        ConfigError: A worked example has no answer, or a question has more options than there are letters.
    """
    shots = [shot for shot in settings.shots if bool(shot.choices) == bool(question.choices) and shot.id != question.id]
    options = _offer(question, settings)
    if settings.style == "plain":
        parts = [settings.instruction] if settings.instruction else []
        parts += [f"{_ask(shot, settings)} {_answer(shot, settings)}" for shot in shots]
        text = "\n\n".join([*parts, _ask(question, settings)])
        return SampleRequest(question.id, text=text, indices=tuple(indices), options=tuple(f" {option}" for option in options))
    messages: list[Message] = [{"role": "system", "content": settings.instruction}]
    for shot in shots:
        messages.append({"role": "user", "content": _render_question(shot, settings)})
        messages.append({"role": "assistant", "content": _answer(shot, settings)})
    messages.append({"role": "user", "content": _render_question(question, settings)})
    return SampleRequest(question.id, messages=tuple(messages), indices=tuple(indices), options=options)


def digest_request(request: SampleRequest) -> str:
    """What tells a rendered prompt from any other: 16 hex digits."""
    told = asdict(request)
    # Named one by one: what requests may carry besides is never sampled with, and must not make old samples look new.
    return sha256_of_json({key: told[key] for key in ("messages", "text", "options")})[:16]


def _ask(question: Question, settings: PromptSettings) -> str:
    return f"{_render_question(question, settings, name='Question: ')}\nAnswer:"


def _render_question(question: Question, settings: PromptSettings, *, name: str = "") -> str:
    lines = [f"Context: {question.context}"] if question.context else []
    lines.append(name + question.question)
    if settings.options == "letters":
        lines += [f"{letter}. {option}" for letter, option in zip(LETTERS, question.choices, strict=False)]
    return "\n".join(lines)


def _answer(shot: Question, settings: PromptSettings) -> str:
    """The right answer of a worked example, as it is to be written."""
    if shot.choice is not None:
        return _offer(shot, settings)[shot.choice]
    if not shot.answers:
        raise ConfigError(f"worked example '{shot.id}' has no answer; leave it out or give it one")
    return shot.answers[0]


def _offer(question: Question, settings: PromptSettings) -> tuple[str, ...]:
    """The options as they are to be written."""
    if len(question.choices) > len(LETTERS) and settings.options == "letters":
        raise ConfigError(f"question '{question.id}' has {len(question.choices)} options, more than letters; use options=texts")
    return tuple(LETTERS[: len(question.choices)]) if settings.options == "letters" else question.choices
