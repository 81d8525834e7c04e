"""How many requests went before one for the same call of the program's: redirects, challenges, the library's retries.

Where a request of a library's tells nothing of those before, the library's method that makes them counts.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracerun.agent.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

_COUNTING: ContextVar[Counting | None] = ContextVar("tracerun_resends", default=None)


class Counting:
    """A call of ``patching.around`` that counts the requests made in it.

    Args:
        library: Whose requests.
        sent: How many have been sent before.
        client: Whose call it is, where its method calls itself for each further request.
    """

    __slots__ = ("_token", "client", "library", "sent")

    def __init__(self, library: str, sent: int = 0, client: Any = None) -> None:
        self.library = library
        self.sent = sent
        self.client = client
        self._token: Token[Counting | None] = _COUNTING.set(self)

    def ended(self, result: Any) -> Any:
        """All of them have been made."""
        self.client = None  # a task that was begun meanwhile has a copy of the context
        try:
            _COUNTING.reset(self._token)
        except ValueError:  # a coroutine is closed from another context than it ran in
            pass
        return result

    def failed(self, _: BaseException) -> None:
        """One of them has failed."""
        self.ended(None)


def counting(library: str) -> Callable[[Any], Any]:
    """A factory of wrappers around a coroutine function that makes all requests of a call."""
    guard = guarded(f"the requests of {library}")

    def factory(original: Any) -> Any:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            requests = None
            try:
                requests = Counting(library)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            try:
                return await original(*args, **kwargs)
            finally:
                if requests is not None:
                    with guard:
                        requests.ended(None)

        return update_wrapper(wrapper, original)

    return factory


def counting_recursive(library: str, client: Any) -> Counting | None:
    """Around a method that calls itself for each further request; None for such a call."""
    outer = _COUNTING.get()
    is_further = outer is not None and outer.library == library and outer.client is client
    return None if is_further else Counting(library, client=client)


def sent_before(library: str) -> int:
    """How many requests went before this one, as far as they are counted."""
    current = _COUNTING.get()
    if current is None or current.library != library:
        return 0
    current.sent += 1
    return current.sent - 1
