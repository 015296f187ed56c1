"""What a server with OpenAI's interface says, read with the suspicion that every server's dialect deserves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from nescio.models.draws import Stop, find_named_option, find_stop, option_letters
from nescio.models.engine import SampleRequest
from nescio.records import Sample

MAX_REASON_CHARS = 300


class UnusableReplyError(Exception):
    """A reply that says 200 and holds no answer: cut off, not JSON, without choices. Another try may do better."""


class _Tokens(NamedTuple):
    texts: list[str]
    log_probabilities: list[float]
    first_alternatives: list[tuple[str, float]]
    """Of the first token: text and log-probability of what the server tells."""


_NO_TOKENS = _Tokens([], [], [])


def read_reply(content: bytes, request: SampleRequest, *, index: int, stops: Sequence[str]) -> Sample:
    """Make a sample of the body of a successful response.

    The text ends before the first stop, even where the server did not mind it, and is stripped. Log-probabilities that are
    missing, malformed or not finite are left out whole.

    Raises:
        UnusableReplyError: There is no answer in it, and asking again may give one.
    """
    choice = _first_choice(content)
    written = _find_text(choice)
    if not (written or "").strip() and _holds_reasoning(choice):
        # With a stop at the line's end, reasoning has no second line and comes to no answer.
        remedy = "switch thinking off (extra_body) or let it write more (max_new_tokens)"
        return _failed(request, index, f"the reply holds reasoning and no answer; {remedy}")
    if written is None and choice.get("finish_reason") == "content_filter":
        return _failed(request, index, "the server's content filter withheld the answer")
    if written is None:
        raise UnusableReplyError("the reply's content is null")
    stop = find_stop(written, stops)
    tokens = _read_tokens(choice)
    text = _well_formed(written[: stop.start] if stop else written).strip()
    option = find_named_option(text, request.options) if request.options else None
    return Sample(
        question_id=request.question_id,
        index=index,
        text=request.options[option.number].strip() if option else text,
        choice=option.number if option else None,
        log_probabilities=tuple(_until(tokens, stop)),
        option_log_likelihoods=_option_log_likelihoods(tokens, request.options) if option and option.by_letter else (),
        ended=stop is not None or choice.get("finish_reason") != "length",
    )


def read_error(content: bytes) -> str:
    """The server's own words about what went wrong, on one line; "" where it has none."""
    error = _load_error(content)
    for key in ("message", "detail", "msg"):
        if isinstance(error, dict) and error.get(key):
            error = error[key]
            break
    if isinstance(error, list):
        error = "; ".join(f"{_location(item)}{item.get('msg')}" for item in error if isinstance(item, dict))
    return " ".join(_well_formed(error if isinstance(error, str) else "").split())[:MAX_REASON_CHARS]


def read_error_code(content: bytes) -> str:
    """The server's code for the error, such as `insufficient_quota`; "" where it has none."""
    error = _load_error(content)
    return str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""


def find_named_parameters(content: bytes, parameters: Sequence[str]) -> set[str]:
    """Which of the parameters an error is about: its `param` field says so, or its words quote the name.

    A name that no sentence has by chance (`top_logprobs`) need not be quoted.
    """
    error = _load_error(content)
    field = error.get("param") if isinstance(error, dict) else None
    words = read_error(content)
    return {name for name in parameters if field == name or _names(words, name)}


def read_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None where it holds neither.

    Examples:
        >>> read_retry_after("1.5")
        1.5
        >>> read_retry_after("soon") is None
        True
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _first_choice(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableReplyError("the reply is not JSON") from error
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        said = read_error(content)
        raise UnusableReplyError("the reply holds no choices" + (f": {said}" if said else ""))
    return choices[0]


def _find_text(choice: Mapping[str, Any]) -> str | None:
    """The answer as the server gives it: of a chat the content, or the refusal that some servers keep apart."""
    message = choice.get("message")
    found = (message.get("content"), message.get("refusal")) if isinstance(message, dict) else (choice.get("text"),)
    return next((text for text in found if isinstance(text, str)), None)


def _holds_reasoning(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    return isinstance(message, dict) and bool(message.get("reasoning_content") or message.get("reasoning"))


def _read_tokens(choice: Mapping[str, Any]) -> _Tokens:
    """Tokens with their log-probabilities, in the chat's layout or the plain one: some servers use the chat's for both."""
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return _NO_TOKENS
    try:
        if isinstance(told.get("content"), list):
            entries = told["content"]
            first = entries[0].get("top_logprobs") or [] if entries else []
            alternatives = [(str(entry["token"]), float(entry["logprob"])) for entry in first]
            tokens = _Tokens([e["token"] for e in entries], [float(e["logprob"]) for e in entries], alternatives)
        else:
            top = (told.get("top_logprobs") or [None])[0] or {}
            values = [float(value) for value in told["token_logprobs"]]
            tokens = _Tokens(list(told["tokens"]), values, [(str(token), float(value)) for token, value in top.items()])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return _NO_TOKENS
    sound = len(tokens.texts) == len(tokens.log_probabilities) and all(isinstance(text, str) for text in tokens.texts)
    return tokens if sound and all(map(math.isfinite, tokens.log_probabilities)) else _NO_TOKENS


def _until(tokens: _Tokens, stop: Stop | None) -> list[float]:
    """Log-probabilities of the tokens that begin before the stop's end."""
    kept: list[float] = []
    offset = 0
    for text, value in zip(tokens.texts, tokens.log_probabilities, strict=True):
        if stop is not None and offset >= stop.end:
            break
        kept.append(value)
        offset += len(text)
    return kept


def _option_log_likelihoods(tokens: _Tokens, options: Sequence[str]) -> tuple[float, ...]:
    """Of each option's letter as the first token, however it is spaced; empty where the server does not tell all of them."""
    sums = dict.fromkeys(option_letters(options), 0.0)
    for text, value in tokens.first_alternatives:
        if text.strip() in sums and math.isfinite(value):
            sums[text.strip()] += math.exp(value)
    likelihoods = [sums[letter] for letter in option_letters(options)]
    return tuple(map(math.log, likelihoods)) if all(likelihoods) and len(sums) == len(options) else ()


def _load_error(content: bytes) -> Any:
    """What stands under `error`, else the whole body; None where it is not JSON."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body.get("error") or body if isinstance(body, dict) else body


def _location(item: Mapping[str, Any]) -> str:
    """Where a validation error lies: its last part, quoted."""
    location = item.get("loc")
    return f"'{location[-1]}': " if isinstance(location, list | tuple) and location else ""


def _names(words: str, name: str) -> bool:
    if re.search(rf"[`'\"]{name}[`'\"]", words):
        return True
    plain = {
        "seed": r"\bseed\b",
        "logprobs": r"\blogprobs\b",
        "top_logprobs": r"\btop_logprobs\b",
        "stop": r"\bstop ?sequences?\b",
    }
    return re.search(plain.get(name, rf"\b{name}\b"), words, re.IGNORECASE) is not None


def _well_formed(text: str) -> str:
    """Without lone halves of surrogate pairs, which JSON can spell and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _failed(request: SampleRequest, index: int, why: str) -> Sample:
    return Sample(question_id=request.question_id, index=index, failure=why)
