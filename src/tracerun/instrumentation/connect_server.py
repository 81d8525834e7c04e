"""Connect's servers, ASGI and WSGI: the one SERVER span of the HTTP request says which call it is, and how it ended."""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from connectrpc.errors import ConnectError
from opentelemetry.trace import Status, StatusCode

from tracerun.agent.guard import guarded
from tracerun.instrumentation import asgi, redaction, wsgi
from tracerun.instrumentation import headers as captured
from tracerun.instrumentation.connect import CONNECT, GRPC, code_of, metadata_of, method_of, read
from tracerun.instrumentation.context import fail, record_exception, tracer
from tracerun.instrumentation.headers import CAPTURED
from tracerun.instrumentation.http import REQUEST_KEY, SERVER_ERROR, ServerRequest, current_request
from tracerun.instrumentation.patching import after, replacing
from tracerun.instrumentation.rpc import SERVER_ERRORS, capture

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACER = tracer("connect_server")
_WHAT = "a Connect server's call"
_GUARD = guarded(_WHAT)
OK = 200


class _Call:
    """One call, as the request's span describes it at its end.

    Args:
        application: Connect's.
        paths: The request's path, as the application may know it.
        content_type: Of the request; it names the protocol.
    """

    __slots__ = ("_application", "_paths", "_system", "context", "error")

    def __init__(self, application: Any, paths: tuple[str, ...], content_type: str) -> None:
        self._application = application
        self._paths = paths
        self._system = GRPC if content_type.startswith("application/grpc") else CONNECT
        self.error: BaseException | None = None
        self.context: Any = None

    def __call__(self, request: ServerRequest) -> bool:
        """Describes the span, unless the path is none of a method."""
        application = self._application
        known = getattr(application, "_resolved_endpoints", None) or application._endpoints
        endpoint = None if callable(known) else next((known[path] for path in self._paths if path in known), None)
        if endpoint is None:
            return False
        span, name = request.span, method_of(endpoint.method)
        span.update_name(name)
        span.set_attributes({"rpc.system.name": self._system, "rpc.method": name})
        if request.status is not None:
            span.set_attribute("http.response.status_code", request.status)
        if self.context is not None:
            self._capture(span)
        self._describe_end(request)
        return True

    def _capture(self, span: Any) -> None:
        context, self.context = self.context, None
        capture(span, CAPTURED.server_request, captured.RPC_REQUEST, metadata_of(read(context.request_headers)))
        answer = (metadata_of(read(part)) for part in (context.response_headers, context.response_trailers))
        capture(span, CAPTURED.server_response, captured.RPC_RESPONSE, *answer)

    def _describe_end(self, request: ServerRequest) -> None:
        span, error = request.span, self.error
        if isinstance(error, ConnectError):
            self._say_code(span, code_of(error.code, self._system), error.message)
        elif error is not None:
            record_exception(span, error)
            self._say_code(span, "unknown" if self._system == CONNECT else "UNKNOWN", redaction.described(error))
        elif request.error is not None:
            record_exception(span, request.error)
            fail(span, request.error)
        elif request.status is not None and request.status >= SERVER_ERROR:
            span.set_attribute("error.type", str(request.status))
            span.set_status(Status(StatusCode.ERROR))
        elif self._system == GRPC and request.status == OK:
            span.set_attribute("rpc.status_code", "OK")

    def _say_code(self, span: Any, code: str, why: str | None) -> None:
        span.set_attribute("rpc.status_code", code)
        if code.upper() in SERVER_ERRORS:
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR, redaction.message(why) if why else None))


def _asgi(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(application: Any, scope: Any, receive: Any, send: Any) -> None:
        with _GUARD:
            request = scope.get(REQUEST_KEY)
            if request is not None:
                path = scope["path"]
                paths = (path, path.removeprefix(scope.get("root_path", "")))
                request.describe = _Call(application, paths, asgi.header(scope, "content-type") or "")
        await original(application, scope, receive, send)

    traced: Callable[..., Any] = asgi.traced_call(_TRACER)(update_wrapper(call, original))
    return traced


def _wsgi(original: Any, application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    def call(environ: dict[str, Any], start_response: Any) -> Any:
        with _GUARD:
            request = environ.get(REQUEST_KEY)
            if request is not None:
                path = environ.get("PATH_INFO") or "/"
                paths = (path, environ.get("SCRIPT_NAME", "") + path)
                request.describe = _Call(application, paths, environ.get("CONTENT_TYPE", ""))
        return original(application, environ, start_response)

    return wsgi.run(call, environ, start_response, _TRACER)


def _current_call() -> _Call | None:
    request = current_request()
    call = request.describe if request is not None else None
    return call if isinstance(call, _Call) else None


def _answering(original: Any) -> Any:
    # A static method: it makes of an exception what goes out in its place.
    convert = getattr(original, "__func__", original)

    def from_exception(error: Any) -> Any:
        with _GUARD:
            call = _current_call()
            if call is not None:
                call.error = call.error or error
        return convert(error)

    return staticmethod(update_wrapper(from_exception, convert))


def _keep_metadata(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    # The first in a request is its own; a handler's calls to other services have theirs.
    if CAPTURED.server_request is not None or CAPTURED.server_response is not None:
        call = _current_call()
        if call is not None and call.context is None:
            call.context = args[0]


PATCHES = {
    "connectrpc._server_async:ConnectASGIApplication.__call__": _asgi,
    "connectrpc._server_sync:ConnectWSGIApplication.__call__": replacing(_wsgi),
    "connectrpc._protocol:ConnectWireError.from_exception": _answering,
    "connectrpc.request:RequestContext.__init__": after(_keep_metadata, _WHAT),
}
