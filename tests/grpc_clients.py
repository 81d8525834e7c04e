"""Calls of the echo service in every way that grpc's two client APIs offer, and what the program gets of each."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from grpc.experimental import ChannelOptions

from tests.grpc_service import echo_pb2, echo_pb2_grpc
from tests.grpc_world import LONGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.grpc_world import Server

METADATA = (("their", "entry"), ("two", "values"), ("their-bin", b"\x00\xff"), ("two", "of them"))
# The outcomes, and what the handler is asked for.
HOWS = {
    "ok": "ok",
    "abort": "abort",
    "fail": "fail",
    "code": "code",
    "wrong": "wrong",
    "cancel": "wait",
    "deadline": "wait",
    "half": "endless",
}
# The ways to make a call of each kind.
SYNC_WAYS = {
    "One": ("call", "with_call", "future"),
    "Many": ("stream", "single thread"),
    "Sum": ("call", "with_call", "future"),
    "Chat": ("stream",),
}
AIO_WAYS = {"One": ("await",), "Many": ("for", "read"), "Sum": ("await", "write"), "Chat": ("for", "write")}
SHORT = 0.2


def can(kind: str, way: str, outcome: str) -> bool:
    """Whether a call of that kind can end so: only calls that return at once can be cancelled."""
    if outcome == "half":
        return kind in ("Many", "Chat")
    return outcome != "cancel" or way not in ("call", "with_call")


def asks(kind: str, outcome: str) -> list[Any]:
    how = HOWS[outcome]
    last = echo_pb2.Ask(how=how, count=2)
    return [last] if kind in ("One", "Many") else [echo_pb2.Ask(how="ok", count=1), last]


class Seen:
    """What a program gets of one call, in plain values."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.messages: list[str] = []
        self.callbacks: list[bool] = []

    def error(self, error: BaseException) -> None:
        self.facts["raised"] = type(error).__name__
        self.facts["raised is"] = [isinstance(error, kind) for kind in (grpc.RpcError, grpc.Call, grpc.Future)]
        if isinstance(error, grpc.RpcError):
            self.facts["raised code"] = error.code()
            self.facts["raised details"] = error.details()
            self.facts["raised trailing"] = [tuple(entry) for entry in error.trailing_metadata() or ()]

    def call(self, call: Any) -> None:
        kinds = (grpc.Call, grpc.Future, grpc.RpcError, grpc.RpcContext, aio.Call, aio.UnaryUnaryCall)
        self.facts["type"] = type(call).__name__
        self.facts["is"] = [isinstance(call, kind) for kind in kinds]

    def result(self) -> dict[str, Any]:
        return {**self.facts, "messages": self.messages, "callbacks": self.callbacks}


def settled(result: dict[str, Any]) -> dict[str, Any]:
    """The result without what grpc itself says differently from time to time."""
    for key in ("details", "raised details"):
        if str(result.get(key)) in ("Deadline Exceeded", "Stream removed (Deadline Exceeded)"):
            result[key] = "Deadline Exceeded"
    return result


def blocking(server: Server, kind: str, way: str, outcome: str) -> dict[str, Any]:
    """Makes one call through grpc's client with threads."""
    single = [(ChannelOptions.SingleThreadedUnaryStream, 1)] if way == "single thread" else []
    with _channel(grpc, server, options=single) as channel:
        method = getattr(echo_pb2_grpc.EchoStub(channel), kind)
        sent = asks(kind, outcome)
        request = sent[0] if kind in ("One", "Many") else iter(sent)
        keywords = {"metadata": METADATA, "timeout": SHORT if outcome == "deadline" else LONGEST}
        seen = Seen()
        with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
            if way == "call":
                _blocked(seen, lambda: seen.messages.append(method(request, **keywords).text))
            elif way == "with_call":
                _blocked(seen, lambda: _with_call(seen, method, request, keywords))
            else:
                call = method.future(request, **keywords) if way == "future" else method(request, **keywords)
                _started(seen, call, way != "future", outcome, server)
    return settled(seen.result())


def _blocked(seen: Seen, call: Any) -> None:
    try:
        call()
    except grpc.RpcError as error:
        seen.error(error)


def _with_call(seen: Seen, method: Any, request: Any, keywords: Any) -> None:
    response, call = method.with_call(request, **keywords)
    seen.messages.append(response.text)
    seen.call(call)
    _status(seen, call)


def _status(seen: Seen, call: Any) -> None:
    seen.facts.update(
        code=call.code(),
        details=call.details(),
        initial=[tuple(entry) for entry in call.initial_metadata() or ()],
        trailing=[tuple(entry) for entry in call.trailing_metadata() or ()],
        cancelled=call.cancelled(),
        done=call.done(),
    )


def _started(seen: Seen, call: Any, streams: bool, outcome: str, server: Server) -> None:
    seen.call(call)
    if outcome == "half":
        seen.messages += [next(call).text for _ in range(3)]
        return
    call.add_done_callback(lambda done: seen.callbacks.append(done is call))
    if outcome == "cancel":
        if streams:
            seen.messages += [next(call).text for _ in range(2)]
        assert server.world.waits.wait(LONGEST)
        seen.facts["cancelled now"] = call.cancel(), call.cancel()
    try:
        if streams:
            seen.messages += [message.text for message in call]
        else:
            seen.messages.append(call.result().text)
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        seen.error(error)
        seen.facts["raised itself"] = error is call
    if outcome != "cancel":
        _status(seen, call)


def _channel(api: Any, server: Server, **options: Any) -> Any:
    if server.certificate is None:
        return api.insecure_channel(server.target, **options)
    return api.secure_channel(server.target, grpc.ssl_channel_credentials(server.certificate.chain), **options)


def asynchronous(server: Server, kind: str, way: str, outcome: str) -> dict[str, Any]:
    """Makes one call through grpc.aio, in an event loop of its own."""
    return asyncio.run(_asynchronous(server, kind, way, outcome))


async def _asynchronous(server: Server, kind: str, way: str, outcome: str) -> dict[str, Any]:
    seen = Seen()
    async with _channel(aio, server) as channel:
        method = getattr(echo_pb2_grpc.EchoStub(channel), kind)
        keywords = {"metadata": aio.Metadata(*METADATA), "timeout": SHORT if outcome == "deadline" else LONGEST}
        sent = asks(kind, outcome)
        if kind in ("One", "Many"):
            call = method(sent[0], **keywords)
        elif way == "write":
            call = method(**keywords)
        else:
            call = method(_each(sent), **keywords)
        for message in sent if way == "write" else ():
            await call.write(message)
        if way == "write":
            await call.done_writing()
        await _follow(seen, call, (kind, way, outcome), server)
        del call
        # A call that is dropped is cancelled when the collector finds it: it is held in a cycle of grpc's.
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
    return settled(seen.result())


async def _each(messages: list[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def _follow(seen: Seen, call: Any, case: tuple[str, str, str], server: Server) -> None:
    kind, way, outcome = case
    seen.call(call)
    if outcome != "half":
        call.add_done_callback(lambda done: seen.callbacks.append(isinstance(done, aio.Call)))
    try:
        if outcome == "cancel":
            assert await asyncio.to_thread(server.world.waits.wait, LONGEST)
            if way in ("read", "write") and kind in ("Many", "Chat"):
                seen.messages += [(await call.read()).text for _ in range(2)]
            seen.facts["cancelled now"] = call.cancel(), call.cancel()
        await _receive(seen, call, kind, way, outcome)
    except (grpc.RpcError, asyncio.CancelledError) as error:
        seen.error(error)
    if outcome == "half":
        return
    initial = list(await call.initial_metadata())
    seen.facts.update(
        code=await call.code(),
        details=await call.details(),
        # Whether it came before the cancellation is a matter of chance.
        initial=initial if outcome != "cancel" else [],
        trailing=list(await call.trailing_metadata()),
        cancelled=call.cancelled(),
        done=call.done(),
    )


async def _receive(seen: Seen, call: Any, kind: str, way: str, outcome: str) -> None:
    if kind in ("One", "Sum"):
        seen.messages.append((await call).text)
    elif way == "for":
        async for message in call:
            seen.messages.append(message.text)
            if outcome == "half" and len(seen.messages) == 3:
                return
    else:
        while (message := await call.read()) is not aio.EOF:
            seen.messages.append(message.text)
            if outcome == "half" and len(seen.messages) == 3:
                return


def cases(ways: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    """Every kind of call, in every way, with every outcome that it can have."""
    for kind, each in ways.items():
        for way in each:
            for outcome in HOWS:
                if can(kind, way, outcome):
                    yield kind, way, outcome
