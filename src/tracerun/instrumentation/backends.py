"""The bodies of urllib3-future, whose responses are its own backends' and not ``http.client``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracerun.instrumentation import bodies
from tracerun.instrumentation.patching import around, around_async, before

if TYPE_CHECKING:
    from tracerun.instrumentation.context import ClientSpan


def hold(span: ClientSpan, response: Any) -> bool:
    """Keeps a span until the body's end; not where the protocol has been switched, or there is none."""
    if not hasattr(response, "_eot") or response.closed or getattr(response, "_dsa", None) is not None:
        return False
    return bodies.hold(span, response)


class _Reading:
    """A read, after which the response is closed where nothing more will come."""

    __slots__ = ("_response",)

    def __init__(self, response: Any) -> None:
        self._response = response

    def ended(self, result: Any) -> Any:
        if self._response.closed:
            bodies.ended(self._response, None)
        return result

    def failed(self, error: BaseException) -> None:
        bodies.broke(self._response, error)


def _begin(args: tuple[Any, ...], _: dict[str, Any]) -> _Reading | None:
    return _Reading(args[0]) if bodies.KEY in vars(args[0]) else None


def _closed(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    bodies.ended(args[0], None)


def patches(package: str) -> dict[str, Any]:
    """The patches of urllib3-future, under the name that it has."""
    sync = f"{package}.backend._base:LowLevelResponse"
    asynchronous = f"{package}.backend._async._base:AsyncLowLevelResponse"
    made: dict[str, Any] = {f"{kind}.close": before(_closed, package) for kind in (sync, asynchronous)}
    for name in ("read", "read1?"):
        made[f"{sync}.{name}"] = around(_begin, package)
        made[f"{asynchronous}.{name}"] = around_async(_begin, package)
    return made
