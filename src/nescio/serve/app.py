"""The HTTP side of a server: OpenAI's chat completions, plain decisions, and what operators look at."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from nescio import __version__
from nescio.errors import ModelError, NescioError
from nescio.serve.decider import Ask, EmbeddedDecider, Reply, Told
from nescio.serve.monitor import Monitor
from nescio.serve.openai_schema import (
    ChatRequest,
    DecideQuestion,
    DecideRecord,
    DecideRequest,
    DecideRequests,
    NescioRecord,
)
from nescio.serve.policy import ApiKey, Policy, Rule

MOST_BODY_BYTES = 1 << 20
MOST_BYTES_LISTENED_TO = 1 << 28
"""A body up to here is read and thrown away, so that its sender hears what is wrong with it."""


class ServerState:
    """What all requests share."""

    def __init__(self, decider: EmbeddedDecider, policy: Policy, *, max_in_flight: int, timeout_seconds: float) -> None:
        self.decider = decider
        self.policy = policy
        """Replaced as a whole when its file is read again: a request sees one policy from its beginning to its end."""
        self.monitor = Monitor(decider.run.live_reference)
        self.max_in_flight = max_in_flight
        self.timeout_seconds = timeout_seconds
        self.in_flight = 0
        self.closing = False


def _caller(request: Request) -> ApiKey | None:
    """Whose key the request has; None where no keys are needed."""
    policy: Policy = request.app.state.server.policy
    if not policy.keys:
        return None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(given.strip().encode()).hexdigest()
    found = None
    for key in policy.keys:  # all are compared, so that time tells nothing
        if hmac.compare_digest(key.sha256, digest) and scheme.lower() == "bearer":
            found = key
    if found is None:
        raise HTTPException(401, "the API key is missing or unknown; send `Authorization: Bearer KEY`")
    return found


Caller = Annotated[ApiKey | None, Depends(_caller)]


def make_app(
    decider: EmbeddedDecider, policy: Policy | None = None, *, max_in_flight: int = 256, timeout_seconds: float = 120.0
) -> FastAPI:
    """The application.

    Args:
        decider: Answers questions.
        policy: What is done with confidences; None lets the model's own decisions stand.
        max_in_flight: Requests at once; one more is told to come again.
        timeout_seconds: After which a request is given up.
    """
    state = ServerState(decider, policy or Policy(), max_in_flight=max_in_flight, timeout_seconds=timeout_seconds)
    app = FastAPI(title="nescio", version=__version__, docs_url=None, redoc_url=None)
    app.state.server = state
    _add_errors(app)
    app.middleware("http")(_limit_body)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Whether the process answers."""
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        """Whether questions are taken."""
        ready = decider.alive and not state.closing
        return PlainTextResponse("ok" if ready else "closing", status_code=200 if ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """What Prometheus collects."""
        return Response(state.monitor.render(queue=decider.in_flight), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models")
    async def models(_: Caller) -> dict[str, Any]:
        """The one model: the run."""
        return {"object": "list", "data": [{"id": decider.run.id, "object": "model", "created": 0, "owned_by": "nescio"}]}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatRequest, key: Caller) -> Response:
        """A chat completion with a decision."""
        question, context = body.split()
        rule = _rule(state.policy, key, body.nescio.rule)
        ask = Ask(
            question,
            context,
            rule=rule,
            temperature=body.temperature or 0.0,
            seed=body.seed or 0,
            max_tokens=body.max_completion_tokens or body.max_tokens,
            top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        )
        decider.count_tokens(ask)
        chat = _Chat(state, body, ask)
        if body.stream:
            return StreamingResponse(chat.stream(), media_type="text/event-stream")
        return JSONResponse(await chat.complete())

    @app.post("/v1/decide")
    async def decide(body: DecideRequest | DecideRequests, key: Caller) -> DecideRecord | list[DecideRecord]:
        """Decide on one question, or on each of a list."""
        rule = _rule(state.policy, key, body.rule)

        async def one(question: DecideQuestion) -> DecideRecord:
            ask = Ask(question.question, question.context, rule=rule, temperature=body.temperature, seed=body.seed)
            reply = await _hear(state, ask)
            record = describe(state, reply)
            return DecideRecord(question=question.question, answer=say(state.policy, reply), **record.model_dump())

        if isinstance(body, DecideRequests):
            for question in body.questions:
                decider.count_tokens(Ask(question.question, question.context))
            return await _all([one(question) for question in body.questions])
        return await one(body)

    return app


def _rule(policy: Policy, key: ApiKey | None, wanted: Rule) -> Rule:
    """The request's rule over its key's over the policy's."""
    return wanted.over(key.rule if key else Rule()).over(policy.rule)


async def _limit_body(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse bodies that are too long before anything is made of them."""
    declared = request.headers.get("content-length", "")
    if request.method == "POST" and not declared.isdigit():
        return _error(411, "the length of the body must be declared; send a Content-Length header")
    if declared.isdigit() and int(declared) > MOST_BODY_BYTES:
        if int(declared) <= MOST_BYTES_LISTENED_TO:  # a client that is still sending would only see a broken connection
            async for _ in request.stream():
                pass
        return _error(413, f"the body has {declared} bytes, and {MOST_BODY_BYTES} is the most; shorten the context")
    return await call_next(request)


async def _all(asked: Sequence[Coroutine[Any, Any, DecideRecord]]) -> list[DecideRecord]:
    """All of them; where one fails, the others are not answered for nobody."""
    tasks = [asyncio.create_task(one) for one in asked]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _hear(state: ServerState, ask: Ask) -> Reply:
    """The whole reply to a question."""
    async for event in _events(state, ask):
        if isinstance(event, Reply):
            return event
    raise ModelError("the engine ended without a reply")


async def _events(state: ServerState, ask: Ask) -> AsyncIterator[Told | str | Reply]:
    """What is heard of a question, counted, limited in number and in time."""
    if state.closing:
        raise HTTPException(503, "the server is closing; ask another one")
    if state.in_flight >= state.max_in_flight:
        state.monitor.count("busy")
        raise HTTPException(429, f"{state.max_in_flight} questions are being answered already; ask again in a moment")
    state.in_flight += 1
    started, outcome = time.perf_counter(), "cancelled"
    events = state.decider.decide(ask)
    try:
        async with asyncio.timeout(state.timeout_seconds):
            async for event in events:
                if isinstance(event, Reply):
                    state.monitor.saw(event, seconds=time.perf_counter() - started)
                    outcome = "answered"
                yield event
    except TimeoutError:
        outcome = "timeout"
        raise HTTPException(504, f"no reply within {state.timeout_seconds:g} seconds; ask again later") from None
    except NescioError:
        outcome = "failed"
        raise
    finally:
        await events.aclose()  # type: ignore[attr-defined] # an async generator
        state.in_flight -= 1
        state.monitor.count(outcome)


def describe(state: ServerState, reply: Reply | Told) -> NescioRecord:
    """The extra object of a reply."""
    told = reply if isinstance(reply, Told) else reply.told
    run = state.decider.run
    return NescioRecord(
        run=run.id,
        action=told.verdict.action,
        decision=told.decision,
        probabilities=told.probabilities,
        confidence=told.confidence,
        raw_confidence=told.raw_confidence,
        bin=run.bin_of(told.confidence),
        threshold=told.verdict.threshold,
        decided_by=told.verdict.decided_by,
        evidence_quality=None if isinstance(reply, Told) else reply.evidence_quality,
        justification=None if isinstance(reply, Told) else reply.justification,
    )


def say(policy: Policy, reply: Reply) -> str:
    """What the user reads."""
    if reply.told.verdict.action == "refuse" and reply.told.verdict.decided_by != "model":
        return policy.refusal
    return reply.answer


class _Chat:
    """One chat completion."""

    def __init__(self, state: ServerState, body: ChatRequest, ask: Ask) -> None:
        self._state, self._body, self._ask = state, body, ask
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": state.decider.run.id}
        self._as_json = body.response_format is not None and body.response_format.type != "text"

    async def complete(self) -> dict[str, Any]:
        """The reply as a whole."""
        reply = await _hear(self._state, self._ask)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self._content(reply), "refusal": None},
            "finish_reason": reply.finish,
            "logprobs": self._logprobs(reply),
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(reply),
            "nescio": describe(self._state, reply).model_dump(),
        }

    async def stream(self) -> AsyncIterator[str]:
        """The reply as it is written; decision and confidence come first."""
        pieces_at_once = self._as_json
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for event in _events(self._state, self._ask):
                if isinstance(event, Told):
                    pieces_at_once |= event.verdict.action == "refuse" and event.verdict.decided_by != "model"
                    yield self._chunk({}, nescio=describe(self._state, event).model_dump())
                elif isinstance(event, str):
                    if not pieces_at_once:
                        yield self._chunk({"content": event})
                else:
                    if pieces_at_once:
                        yield self._chunk({"content": self._content(event)})
                    record = describe(self._state, event).model_dump()
                    yield self._chunk({}, finish=event.finish, nescio=record, logprobs=self._logprobs(event))
                    if self._body.stream_options and self._body.stream_options.include_usage:
                        yield _line({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(event)})
        except (NescioError, HTTPException) as error:
            # The status line has gone out: the error travels as an event, which OpenAI's client raises.
            message = error.detail if isinstance(error, HTTPException) else str(error)
            yield _line({"error": {"message": message, "type": "server_error", "param": None, "code": None}})
            return
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None, **extra: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return _line({**self._head, "object": "chat.completion.chunk", "choices": [choice], **extra})

    def _content(self, reply: Reply) -> str:
        answer = say(self._state.policy, reply)
        if not self._as_json:
            return answer
        content = {"decision": reply.written_as, "answer": answer, "justification": reply.justification}
        return json.dumps({**content, "evidence_quality": reply.evidence_quality}, ensure_ascii=False)

    def _logprobs(self, reply: Reply) -> dict[str, Any] | None:
        if self._ask.top_logprobs is None:
            return None

        def show(text: str, logprob: float) -> dict[str, Any]:
            return {"token": text, "logprob": max(logprob, -9999.0), "bytes": list(text.encode())}

        return {
            "content": [
                {**show(one.text, one.logprob), "top_logprobs": [show(text, value) for text, value in one.top]}
                for one in reply.logprobs
            ],
            "refusal": None,
        }


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.completion_tokens
    return {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens, "total_tokens": total}


def _line(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _add_errors(app: FastAPI) -> None:
    """Errors in OpenAI's shape, which its client turns into exceptions of its own."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return _error(400, f"{where or 'body'}: {first['msg']}", param=where or None)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(NescioError)
    async def failed(_: Request, error: NescioError) -> JSONResponse:
        return _error(500 if isinstance(error, ModelError) else 400, str(error))


def _error(status: int, message: str, *, param: str | None = None) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": None}}, status_code=status)
