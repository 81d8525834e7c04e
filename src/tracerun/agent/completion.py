"""The SDK itself: loaded once somebody asks for more than our own spans are, which are made of the API alone.

That is a program that asks for the tracer provider (to make spans of its own, or to add a processor), that imports
the SDK, or that wants of a span of ours what only the SDK's has: links, its resource, more than 128 events. To load
it takes as long as all else that a traced application needs, so that most programs do without.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracerun.agent import forks, guard, hooks, releases, shadows
from tracerun.agent.boot import Process
from tracerun.agent.threads import RLock
from tracerun.environment import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracerun.agent.provider import OurProvider

LOADING = "the loading of the OpenTelemetry SDK"
SDK = "opentelemetry.sdk.trace"


class _Completion:
    """How far it is.

    Attributes:
        make: Makes our provider; none where nothing waits for the SDK.
        adopt: Has our own spans be the SDK's, and says here that the provider is there.
        provider: Ours, once there is one.
        failed: Whether the SDK, or our provider, cannot be had.
        lost: Whether a thread was loading it that is not there in this forked process.
    """

    def __init__(self) -> None:
        self.make: Callable[[], OurProvider] | None = None
        self.adopt: Callable[[OurProvider], None] | None = None
        self.provider: OurProvider | None = None
        self.failed = self.lost = False
        # Held while nothing is imported: whoever imports the SDK has the locks of its modules.
        self.lock: Any = RLock()


COMPLETION = _Completion()


def complete() -> OurProvider | None:
    """Loads the SDK unless it is there.

    Returns:
        Our provider; None where it cannot be had.

    Raises:
        Exception: What the program's handler of a signal has raised, while the SDK was imported.
    """
    if _waits() and not sys.is_finalizing():
        if COMPLETION.lost:
            _fail("the SDK was being loaded when this child process was forked", "child-not-loading")
        elif _load() and hooks.has_run(SDK):  # else this is one of its own modules that asks
            on_sdk()
    return COMPLETION.provider


def wait(make: Callable[[], OurProvider], adopt: Callable[[OurProvider], None]) -> None:
    """Has the SDK wait until somebody asks for it; where it is loaded already it is not waited for.

    Args:
        make: Makes our provider.
        adopt: Has our own spans be the SDK's, and sets the provider.
    """
    COMPLETION.make, COMPLETION.adopt = make, adopt
    if SDK in sys.modules:
        complete()


def provider_of_ours() -> OurProvider:
    """Our provider.

    Raises:
        AttributeError: The SDK cannot be had: it is an attribute of the SDK's span that is asked for.
    """
    provider = complete()
    if provider is None:
        raise AttributeError("there is no provider of the SDK's")
    return provider


def on_sdk() -> None:
    """The SDK's code has run, whoever has imported it."""
    if not _waits():
        return
    with guard.guarded(LOADING), _undisturbed():
        # All that is imported, before the lock is taken.
        import tracerun.agent.provider  # noqa: PLC0415 - builds on the SDK
        import tracerun.export.processor  # noqa: F401, PLC0415 - as above

        with COMPLETION.lock:
            if _waits():
                _make()


def in_forked_child() -> None:
    """Where another thread of the parent was loading the SDK nobody here can ever load the rest, but would wait."""
    COMPLETION.lost = _waits() and not hooks.has_run(SDK) and forks.is_importing("opentelemetry")


def _load() -> bool:
    try:
        with _undisturbed():
            releases.load_sdk()
    except releases.Unfit as why:
        _fail(str(why), "opentelemetry-misfit")
    except releases.Passing as why:  # whoever asks next may have it
        guard.debug("the SDK could not be loaded: {}", why)
    else:
        return True
    return False


def _fail(why: str, slug: str) -> None:
    COMPLETION.failed = True
    if Process.is_target or COMPLETION.lost:
        guard.say(f"the program's own spans are not traced: {why}", slug=slug)


def _make() -> None:
    assert COMPLETION.make is not None and COMPLETION.adopt is not None  # noqa: S101, PT018 - somebody waits
    try:
        COMPLETION.adopt(COMPLETION.make())
    except Exception as error:
        COMPLETION.failed = not releases.is_of_a_handler(error)  # else it would be tried at each span
        raise
    guard.debug("the SDK is loaded; our spans are its own from here on")


def _waits() -> bool:
    return COMPLETION.make is not None and COMPLETION.provider is None and not COMPLETION.failed


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Around what loads the SDK, which raises where one of its variables has a wrong value."""
    # The API's own module has read the propagators long ago.
    unreadable = [name for name in Process.settings.unreadable_for_sdk if name != "OTEL_PROPAGATORS"]
    with forks.loading(), shadows.out_of_the_way(), hidden(unreadable):
        yield
