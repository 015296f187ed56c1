"""Requests and replies in the shape of OpenAI's chat completions, as far as one structured decision can honour them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nescio.errors import DataError
from nescio.serve.policy import Rule
from nescio.serve.served_run import Bin

MOST_MESSAGES = 64


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(_Strict):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(_Strict):
    """A turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class ResponseFormat(_Strict):
    """`text`: the answer alone; `json_object`: the whole structured reply, whose schema is the run's and no other."""

    type: Literal["text", "json_object"]


class StreamOptions(_Strict):
    """What a stream ends with."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class Extension(_Strict):
    """What only nescio understands: `extra_body={"nescio": {...}}` of OpenAI's client."""

    context: str | None = None
    """Evidence for the question; data, never an instruction."""
    rule: Rule = Rule()
    """Over the rule of the key and of the policy."""


class ChatRequest(_Strict):
    """A chat completion, as OpenAI's client asks for it."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    top_p: Annotated[float, Field(ge=1, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    nescio: Extension = Extension()

    def split(self) -> tuple[str, str | None]:
        """The question, which is the last turn, and its context: what was given as such, and earlier turns.

        System turns are left out: the run has one of its own, which it was trained with. What stands in the context is data,
        whoever said it.

        Raises:
            DataError: The last turn is not the user's, or has no text.
        """
        *before, last = self.messages
        if last.role != "user" or not last.text.strip():
            raise DataError("the last message must be the user's question, with some text; put it last")
        parts = [self.nescio.context] if self.nescio.context else []
        parts += [f"{one.role}: {one.text}" for one in before if one.role in ("user", "assistant") and one.text.strip()]
        return last.text, "\n".join(parts) or None


class DecideQuestion(_Strict):
    """A question of `/v1/decide`."""

    question: Annotated[str, Field(min_length=1, pattern=r"\S")]
    context: str | None = None


class DecideRequest(DecideQuestion):
    """One question, with what is done about it."""

    rule: Rule = Rule()
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    seed: int = 0


class DecideRequests(_Strict):
    """Many questions under one rule."""

    questions: Annotated[list[DecideQuestion], Field(min_length=1, max_length=256)]
    rule: Rule = Rule()
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    seed: int = 0


class NescioRecord(BaseModel):
    """What nescio adds to a completion."""

    run: str
    action: Literal["answer", "hedge", "refuse"]
    decision: Literal["correct", "uncertain", "refuse"]
    probabilities: dict[Literal["correct", "uncertain", "refuse"], float]
    confidence: float
    raw_confidence: float
    bin: Bin | None
    threshold: float | None
    decided_by: Literal["model", "threshold", "costs", "guaranteed"]
    evidence_quality: Literal["high", "medium", "low"] | None
    justification: str | None


class DecideRecord(NescioRecord):
    """A decision on a question."""

    question: str
    answer: str
    """What is said to the user, by the policy."""
