"""An echo service in every style of handler, behind every kind of server, and what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from opentelemetry import trace

from tests.grpc_service import echo_pb2, echo_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LONGEST = 5.0
GRPC = ("grpc_client", "grpc_server", "grpc_aio_client", "grpc_aio_server")
# How long a handler that waits for its client's end looks the other way.
STEP = 0.005
# What the tracer or grpc itself adds to a call's metadata.
NOT_THEIRS = ("traceparent", "tracestate", "baggage", "user-agent")


class World:
    """What the handlers of one server saw and did, and the spans that were current meanwhile."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.current: list[int] = []
        self.waits = threading.Event()
        self.over = threading.Event()

    def begin(self, context: Any) -> None:
        self.log.append([(k, v) for k, v in context.invocation_metadata() if k not in NOT_THEIRS])
        self.look()

    def look(self) -> None:
        self.current.append(trace.get_current_span().get_span_context().span_id)

    def finish(self, how: str) -> None:
        self.look()
        self.log.append(how)


def answer(text: str) -> Any:
    return echo_pb2.Answer(text=text)


class Threaded(echo_pb2_grpc.EchoServicer):
    """Plain functions and generators; also what asyncio's server runs in threads."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _end(self, how: str, context: Any) -> Any:
        """The last word of a call, in each of the ways to end one."""
        self.world.look()
        context.set_trailing_metadata((("trailing", "yes"),))
        if how == "abort":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        if how == "fail":
            raise ZeroDivisionError("on purpose")
        if how == "code":
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details("half done")
        if how == "wait":
            self.world.waits.set()
            while self._is_active(context):
                self.world.over.wait(STEP)
        return "of another type" if how == "wrong" else answer(how)

    def _is_active(self, context: Any) -> bool:
        # asyncio's server does not tell sync handlers whether their client is still there.
        return bool(context.is_active()) if hasattr(context, "is_active") else not self.world.over.is_set()

    def One(self, request: Any, context: Any) -> Any:
        self.world.begin(context)
        context.send_initial_metadata((("initial", "yes"),))
        try:
            return self._end(request.how, context)
        finally:
            self.world.finish("one")

    def Many(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.begin(context)
        context.send_initial_metadata((("initial", "yes"),))
        yield from self._stream(request, context)

    def _stream(self, request: Any, context: Any) -> Iterator[Any]:
        try:
            for number in range(request.count):
                self.world.look()
                yield answer(str(number))
            while request.how == "endless" and self._is_active(context):
                yield answer("more")
            if request.how != "endless":
                yield self._end(request.how, context)
        finally:
            self.world.finish("many")

    def Sum(self, requests: Iterator[Any], context: Any) -> Any:
        self.world.begin(context)
        context.send_initial_metadata((("initial", "yes"),))
        try:
            seen = []
            for request in requests:
                seen.append(request.count)
                if request.how != "ok":
                    break
            ended = self._end(request.how, context)
            return answer(f"{sum(seen)}") if request.how == "ok" else ended
        finally:
            self.world.finish("sum")

    def Chat(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        self.world.begin(context)
        context.send_initial_metadata((("initial", "yes"),))
        for request in requests:
            if request.how != "ok":
                yield from self._stream(request, context)
                return
            yield answer(str(request.count))
        self.world.finish("chat")


class Asynchronous(echo_pb2_grpc.EchoServicer):
    """Coroutine functions and asynchronous generators."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def _end(self, how: str, context: Any) -> Any:
        self.world.look()
        context.set_trailing_metadata((("trailing", "yes"),))
        if how == "abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        if how == "fail":
            raise ZeroDivisionError("on purpose")
        if how == "code":
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details("half done")
        if how == "wait":
            self.world.waits.set()
            await asyncio.sleep(LONGEST)
        return "of another type" if how == "wrong" else answer(how)

    async def One(self, request: Any, context: Any) -> Any:
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        try:
            return await self._end(request.how, context)
        finally:
            self.world.finish("one")

    async def Many(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        async for message in self._stream(request, context):
            yield message

    async def _stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            for number in range(request.count):
                self.world.look()
                yield answer(str(number))
            while request.how == "endless":
                yield answer("more")
                await asyncio.sleep(0)
            yield await self._end(request.how, context)
        finally:
            self.world.finish("many")

    async def Sum(self, requests: AsyncIterator[Any], context: Any) -> Any:
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        try:
            seen = []
            async for request in requests:
                seen.append(request.count)
                if request.how != "ok":
                    break
            ended = await self._end(request.how, context)
            return answer(f"{sum(seen)}") if request.how == "ok" else ended
        finally:
            self.world.finish("sum")

    async def Chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        async for request in requests:
            if request.how != "ok":
                async for message in self._stream(request, context):
                    yield message
                return
            yield answer(str(request.count))
        self.world.finish("chat")


class Writing(Asynchronous):
    """Coroutine functions that read from and write to the context, with no ``yield`` in them."""

    async def Many(self, request: Any, context: Any) -> None:  # type: ignore[override]
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        await self._write(request, context)

    async def _write(self, request: Any, context: Any) -> None:
        try:
            for number in range(request.count):
                self.world.look()
                await context.write(answer(str(number)))
            while request.how == "endless":
                await context.write(answer("more"))
                await asyncio.sleep(0)
            await context.write(await self._end(request.how, context))
        finally:
            self.world.finish("many")

    async def Sum(self, requests: AsyncIterator[Any], context: Any) -> Any:
        async def read() -> AsyncIterator[Any]:
            while (request := await context.read()) is not aio.EOF:
                yield request

        return await super().Sum(read(), context)

    async def Chat(self, requests: AsyncIterator[Any], context: Any) -> None:  # type: ignore[override]
        self.world.begin(context)
        await context.send_initial_metadata((("initial", "yes"),))
        while (request := await context.read()) is not aio.EOF:
            if request.how != "ok":
                await self._write(request, context)
                return
            await context.write(answer(str(request.count)))
        self.world.finish("chat")


# How handlers are written, and the server that runs them.
STYLES: dict[str, tuple[Any, bool]] = {
    "threads": (Threaded, False),
    "asyncio": (Asynchronous, True),
    "asyncio, context.write": (Writing, True),
    "asyncio, sync handlers": (Threaded, True),
}


class Certificate:
    """A self-signed certificate for localhost, and the key to it."""

    def __init__(self, folder: Path) -> None:
        self.key = (folder / "key.pem").read_bytes()
        self.chain = (folder / "certificate.pem").read_bytes()


class Server:
    """A running server of one style, on a free port, with its own event loop where it needs one.

    Attributes:
        target: Where it listens, as channels want it.
    """

    def __init__(self, style: str, world: World, certificate: Certificate | None, **options: Any) -> None:
        self.style = style
        self.world = world
        self.certificate = certificate
        self.options = options
        self.target = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pool = futures.ThreadPoolExecutor(4)
        if STYLES[style][1]:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever)
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._start_asynchronous(), self._loop).result(LONGEST)
        else:
            self.server = grpc.server(self._pool, **options)
            self._listen()
            self.server.start()

    def add_handlers(self, server: Any) -> None:
        """The echo service, in this server's style."""
        echo_pb2_grpc.add_EchoServicer_to_server(STYLES[self.style][0](self.world), server)

    def _listen(self) -> None:
        self.add_handlers(self.server)
        if self.certificate is None:
            self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        else:
            pair = ((self.certificate.key, self.certificate.chain),)
            credentials = grpc.ssl_server_credentials(pair)
            self.target = f"localhost:{self.server.add_secure_port('localhost:0', credentials)}"

    async def _start_asynchronous(self) -> None:
        self.server = aio.server(self._pool, **self.options)
        self._listen()
        await self.server.start()

    async def _stop_asynchronous(self) -> None:
        await self.server.stop(LONGEST)
        del self.server
        # What was dropped half-way cleans up in tasks of its own.
        for _ in range(3):
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=LONGEST)
        # Threads of sync handlers hand their messages over to this loop.
        await asyncio.to_thread(self._pool.shutdown)
        await asyncio.get_running_loop().shutdown_asyncgens()

    def close(self) -> None:
        self.world.over.set()
        if self._loop is None:
            self.server.stop(LONGEST).wait(LONGEST)
            del self.server
        else:
            asyncio.run_coroutine_threadsafe(self._stop_asynchronous(), self._loop).result(LONGEST)
            self._loop.call_soon_threadsafe(self._loop.stop)
            assert self._thread is not None
            self._thread.join(LONGEST)
            self._loop.close()
        self._pool.shutdown()


@contextlib.contextmanager
def serving(style: str, certificate: Certificate | None = None, **options: Any) -> Iterator[Server]:
    """A server while a block runs."""
    server = Server(style, World(), certificate, **options)
    try:
        yield server
    finally:
        server.close()
