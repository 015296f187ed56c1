"""Answers from any server that speaks OpenAI's interface: vLLM, llama.cpp, Ollama, a hosted one (docs/engines.md)."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nescio.errors import ConfigError, ModelError
from nescio.models.draws import derive_seed
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.openai_reply import (
    UnusableReplyError,
    find_named_parameters,
    read_error,
    read_error_code,
    read_reply,
    read_retry_after,
)
from nescio.records import Sample

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

MAX_DELAY_S = 30.0
"""Between two attempts, unless the server asks for more."""
MAX_CONNECT_S = 10.0
"""To get a connection; an attempt's own limit may be shorter."""
MAX_RETRY_AFTER_S = 3600.0
"""A server that asks for more has no answers today: the run stops."""
_OURS = {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "seed", "stop", "n", "stream"} | {
    "logprobs",
    "top_logprobs",
}
_RETRIED = {408, 409, 425, 429}
_WITHOUT = {
    "seed": "drawn answers will differ from run to run",
    "stop": "answers are cut at the stop here, after the server wrote on to its limit",
    "logprobs": "samples will have no log-probabilities",
    "top_logprobs": "options will have no log-likelihoods",
    "top_p": "answers are drawn with the server's own cut of the distribution",
    "max_tokens": "max_completion_tokens is sent in its place",
}
"""Parameters that a server may refuse, and what that means."""


class OpenAIEngine:
    """Answers from a server with OpenAI's interface, many requests at a time.

    Each answer is one HTTP request of its own, with a seed made of (seed, question id, index): to `/chat/completions` where
    the request has messages, else to `/completions`. Whether equal seeds give equal answers is up to the server.

    A request whose connection, time or reply fails is sent again, with growing delays; when it fails for good, its sample
    says why, and no other sample is touched. What would make every request fail (a refused key, an unknown model, nobody at
    the address) stops the run. Log-probabilities are kept as the server tells them: with vLLM and llama.cpp those at
    temperature 1; the stop is among them where the server says so. Cuts of the distribution that have no field in OpenAI's
    interface (top-k, min-p) are the server's to switch off.

    A multiple-choice question is asked for its answer as text; its options have to stand in the prompt.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        requests_per_second: float | None = None,
        timeout_s: float = 120.0,
        max_attempts: int = 8,
        backoff_s: float = 0.5,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            base_url: Address up to and with the version: `http://localhost:8000/v1`.
            model: Its name on the server.
            api_key: Default: the environment's OPENAI_API_KEY; servers of one's own mostly need none. It is sent to the
                server and neither logged nor kept anywhere.
            concurrency: Requests under way at once, from 1.
            requests_per_second: At most so many are sent, repeated ones included, evenly spaced; None is no limit.
            timeout_s: Of one attempt, from sending to the last byte.
            max_attempts: Of one request, from 1.
            backoff_s: Delay after the first failed attempt; it doubles with each, up to 30 s, less up to half by chance.
            extra_body: Further fields of every request, such as `{"chat_template_kwargs": {"enable_thinking": False}}`.

        Raises:
            ConfigError: An argument is out of its range, the address is none, or `extra_body` sets what nescio sets.
        """
        self.base_url = _checked_address(base_url)
        self.model = model
        self.dropped: set[str] = set()
        """Parameters that the server refused and that are not sent any more."""
        self._api_key = _checked_key(os.environ.get("OPENAI_API_KEY") if api_key is None else api_key)
        for name, value, least in (("concurrency", concurrency, 1), ("max_attempts", max_attempts, 1)):
            if value < least:
                raise ConfigError(f"{name} is {value}; it has to be {least} or more")
        for name, number in (("requests_per_second", requests_per_second), ("timeout_s", timeout_s)):
            if number is not None and not number > 0:
                raise ConfigError(f"{name} is {number}; it has to be above 0")
        if ours := sorted(_OURS & set(extra_body or {})):
            raise ConfigError(f"extra_body may not hold {', '.join(ours)}: nescio sets that itself")
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._backoff_s = backoff_s
        self._extra_body = dict(extra_body or {})
        self._pacer = Pacer(requests_per_second)
        self._was_reached = False
        self._was_answered = False
        self._has_warned_of_delay = False
        if self._api_key and not _is_private(self.base_url):
            logger.warning("the API key goes to %s in clear text; use https", self.base_url)

    def identify(self) -> dict[str, Any]:
        """Server, model, and the further fields of every request where there are any; never the key."""
        extra = {"extra_body": self._extra_body} if self._extra_body else {}
        return {"engine": "openai", "base_url": self.base_url, "model": self.model, **extra}

    def draw(
        self,
        requests: Sequence[SampleRequest],
        settings: DrawSettings,
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Sample]:
        """Answer each request once for each of its indices; see `SamplingEngine`.

        Raises:
            ModelError: Every request would fail: nobody answers at the address, the key or the account is refused, the
                model is unknown, or the server asks to wait for more than an hour.
        """
        return _run(self._draw_all(requests, settings, on_done))

    async def _draw_all(
        self, requests: Sequence[SampleRequest], settings: DrawSettings, on_done: Callable[[int], None] | None
    ) -> list[Sample]:
        import httpx2

        # Keyed by place, so that whichever request ends first, no answer moves.
        places = [(place, index) for place, request in enumerate(requests) for index in request.indices]
        samples: dict[tuple[int, int], Sample] = {}
        left = [len(request.indices) for request in requests]
        waiting = iter(places)

        async def work(client: httpx2.AsyncClient) -> None:
            # All workers share the iterator: each place is taken once.
            for place, index in waiting:
                samples[place, index] = await self._draw_one(client, requests[place], settings, index)
                left[place] -= 1
                if left[place] == 0 and on_done is not None:
                    on_done(left.count(0))

        # Each attempt as a whole has its limit set around it; an address where nobody is shows sooner.
        timeout = httpx2.Timeout(None, connect=min(MAX_CONNECT_S, self._timeout_s))
        limits = httpx2.Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._api_key}"} if self._api_key else {})
        try:
            async with (
                httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout) as client,
                asyncio.TaskGroup() as workers,
            ):
                for _ in range(min(self._concurrency, len(places))):
                    workers.create_task(work(client))
        except BaseExceptionGroup as group:
            # Several workers may have met the same end; one tells it.
            raise group.exceptions[0] from None
        return [samples[place] for place in places]

    async def _draw_one(self, client: httpx2.AsyncClient, request: SampleRequest, settings: DrawSettings, index: int) -> Sample:
        """Try until there is an answer, a refusal, or no attempt left."""
        seed = derive_seed(settings.seed, request.question_id, index)
        chance = random.Random(seed)
        refused: set[str] = set()
        attempts = 0
        while True:
            await self._pacer.wait()
            body = self._build_body(request, settings, index=index, seed=seed, without=self.dropped | refused)
            try:
                response = await self._post(client, "/chat/completions" if request.messages else "/completions", body)
                if new := self._find_refused(response, sent=body):
                    refused |= new
                    continue
                sample = self._read(response, request, settings, index)
            except _TryAgainError as error:
                attempts += 1
                if attempts >= self._max_attempts:
                    return self._give_up(request, index, error)
                await self._delay(error, attempts, chance)
                continue
            if response.is_success:
                self._drop(refused)
            return sample

    def _build_body(
        self, request: SampleRequest, settings: DrawSettings, *, index: int, seed: int, without: set[str]
    ) -> dict[str, Any]:
        # Servers have cuts of their own as a default; the draws are meant to be of the whole distribution.
        optional: dict[str, Any] = {"seed": seed, "max_tokens": settings.max_new_tokens, "top_p": 1.0}
        if settings.stop:
            optional["stop"] = list(settings.stop)
        if request.messages:
            optional["logprobs"] = True
            if request.options and "logprobs" not in without:
                optional["top_logprobs"] = 20
        else:
            # 0 would do, but reads as "none" to some servers; 5 is the most that OpenAI's own interface gives here.
            optional["logprobs"] = 5 if request.options else 1
        if "max_tokens" in without:
            optional["max_completion_tokens"] = settings.max_new_tokens
        asked = {"messages": [dict(turn) for turn in request.messages]} if request.messages else {"prompt": request.text}
        kept = {name: value for name, value in optional.items() if name not in without}
        return {
            "model": self.model,
            **asked,
            "temperature": settings.temperature if index else 0.0,
            **kept,
            **self._extra_body,
        }

    async def _post(self, client: httpx2.AsyncClient, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        import httpx2

        try:
            # json.dumps escapes what UTF-8 cannot hold, so that no question breaks the request.
            async with asyncio.timeout(self._timeout_s):
                response = await client.post(self.base_url + path, content=json.dumps(body).encode("ascii"))
        except TimeoutError:
            raise _TryAgainError(f"no answer within {self._timeout_s:g} s") from None
        except httpx2.TransportError as error:
            unreached = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _TryAgainError(f"the connection failed: {self._redact(reason)}", unreached=unreached) from None
        except httpx2.HTTPError as error:
            raise _TryAgainError(f"the reply cannot be read: {self._redact(str(error))}") from None
        self._was_reached = True
        return response

    def _find_refused(self, response: httpx2.Response, *, sent: Mapping[str, Any]) -> set[str]:
        """Which of the optional parameters that were sent the server does not take."""
        if response.status_code not in (400, 422):
            return set()
        return find_named_parameters(response.content, [name for name in _WITHOUT if name in sent])

    def _read(self, response: httpx2.Response, request: SampleRequest, settings: DrawSettings, index: int) -> Sample:
        status = response.status_code
        if response.is_success:
            try:
                sample = read_reply(response.content, request, index=index, stops=settings.stop)
            except UnusableReplyError as error:
                raise _TryAgainError(self._redact(str(error))) from None
            self._was_answered = True
            return sample
        said = self._redact(read_error(response.content)) or response.reason_phrase
        self._stop_if_hopeless(response, said)
        if status in _RETRIED or status >= 500:
            raise _TryAgainError(f"the server said {status}: {said}", retry_after=self._find_retry_after(response))
        return Sample(question_id=request.question_id, index=index, failure=f"the server refused the request ({status}): {said}")

    def _stop_if_hopeless(self, response: httpx2.Response, said: str) -> None:
        """Raise where every further request would fail as well."""
        status = response.status_code
        where = f"the server at {self.base_url}"
        if 300 <= status < 400:
            target = response.headers.get("location", "elsewhere")
            raise ModelError(f"{where} redirects to {target}; give the address that serves the model itself")
        # Behind the first answer, 403 is about one request: some servers refuse a prompt's contents by it.
        if status == 401 or (status == 403 and not self._was_answered):
            raise ModelError(f"{where} refuses the API key ({status}: {said}); set OPENAI_API_KEY to a key that is valid there")
        if status == 402 or (status == 429 and read_error_code(response.content) == "insufficient_quota"):
            raise ModelError(f"{where} wants to be paid ({status}: {said}); see to the account and run again")
        if status == 404:
            remedy = f"look the name up at {self.base_url}/models, and mind that addresses mostly end in /v1"
            raise ModelError(f"{where} does not know the model '{self.model}', or the address (404: {said}); {remedy}")

    def _find_retry_after(self, response: httpx2.Response) -> float | None:
        seconds = read_retry_after(response.headers.get("retry-after"))
        if seconds is not None and seconds > MAX_RETRY_AFTER_S:
            raise ModelError(f"the server at {self.base_url} asks to wait for {seconds:.0f} s; run again then")
        return seconds

    async def _delay(self, error: _TryAgainError, attempts: int, chance: random.Random) -> None:
        if error.unreached and not self._was_reached and not self._has_warned_of_delay:
            self._has_warned_of_delay = True
            logger.warning("nobody answers at %s yet (%s); trying again", self.base_url, error)
        if error.retry_after is not None:
            # A server that names a time means everybody; this request waits for its own delay too, if that is longer.
            self._pacer.hold(error.retry_after)
        await asyncio.sleep(min(MAX_DELAY_S, self._backoff_s * 2.0 ** (attempts - 1)) * chance.uniform(0.5, 1.0))

    def _give_up(self, request: SampleRequest, index: int, error: _TryAgainError) -> Sample:
        if error.unreached and not self._was_reached:
            raise ModelError(f"nobody answers at {self.base_url} ({error}); is the server running, and is this its address?")
        reason = f"no answer in {self._max_attempts} attempts; the last: {error}"
        return Sample(question_id=request.question_id, index=index, failure=reason)

    def _drop(self, refused: set[str]) -> None:
        """Send these no more: a request went through without them."""
        for name in sorted(refused - self.dropped):
            logger.warning("the server at %s does not take '%s': %s", self.base_url, name, _WITHOUT[name])
        self.dropped |= refused

    def _redact(self, text: str) -> str:
        """A server may quote the key back."""
        return text.replace(self._api_key, "***") if self._api_key else text


class Pacer:
    """Spaces out requests, and holds them all back when the server asks for it."""

    def __init__(
        self,
        per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_s = 1.0 / per_second if per_second else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is this request's turn."""
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + self._interval_s
        if turn > now:
            await self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Let nobody begin for so long."""
        self._next = max(self._next, self._clock() + seconds)


class _TryAgainError(Exception):
    def __init__(self, reason: str, *, retry_after: float | None = None, unreached: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.unreached = unreached


def _run(work: Coroutine[Any, Any, list[Sample]]) -> list[Sample]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # A notebook has a loop of its own, which must not be entered twice.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def _checked_address(base_url: str) -> str:
    address = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(f"'{base_url}' is no server's address; give one like http://localhost:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # They would end up in stores and messages, and the path could not be added.
        raise ConfigError("a server's address may hold neither a password nor anything behind its path; give the key as api_key")
    return address


def _checked_key(api_key: str | None) -> str | None:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key holds characters that no header can carry; was more copied than the key?")
    return key or None


def _is_private(address: str) -> bool:
    """Whether what is sent there stays on this machine or is enciphered."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    return local or parts.scheme == "https"
