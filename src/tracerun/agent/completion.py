"""The SDK itself: loaded once somebody asks for more than our own spans are, which are made of the API alone.

That is a program that asks for the tracer provider (to make spans of its own, or to add a processor), that imports
the SDK, or that reads of a span of ours what only the SDK's has. To load it takes as long as all else that a traced
application needs, so that most programs do without.
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
        make: Makes our provider and has our own spans be the SDK's; none where nothing waits for the SDK.
        provider: Ours, once there is one.
        failed: Whether the SDK cannot be had.
    """

    def __init__(self) -> None:
        self.make: Callable[[], OurProvider] | None = None
        self.provider: OurProvider | None = None
        self.failed = False
        # Held while nothing is imported: whoever imports the SDK has the locks of its modules.
        self.lock: Any = RLock()


COMPLETION = _Completion()


def complete() -> OurProvider | None:
    """Loads the SDK unless it is there.

    Returns:
        Our provider; None where it cannot be had.
    """
    if _waits() and not sys.is_finalizing():
        with _prepared():
            try:
                releases.load_sdk()
            except releases.Unfit as why:
                COMPLETION.failed = True
                if Process.is_target:
                    guard.say(f"the program's own spans are not traced: {why}", slug="opentelemetry-misfit")
        if hooks.has_run(SDK):  # else this is one of its own modules that asks
            on_sdk()
    return COMPLETION.provider


def wait(make: Callable[[], OurProvider]) -> None:
    """Has the SDK wait until somebody asks for it; where it is loaded already it is not waited for.

    Args:
        make: Makes our provider and has our own spans be the SDK's.
    """
    COMPLETION.make = make
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
    with _prepared():
        # All that is imported, before the lock is taken.
        import tracerun.agent.provider  # noqa: PLC0415 - builds on the SDK
        import tracerun.export.processor  # noqa: F401, PLC0415 - as above

        with COMPLETION.lock:
            if COMPLETION.make is not None and _waits():
                COMPLETION.failed = True  # unless it is made: what fails once is not tried at each span
                COMPLETION.provider = COMPLETION.make()
                COMPLETION.failed = False
                guard.debug("the SDK is loaded; our spans are its own from here on")


def in_forked_child() -> None:
    """Where another thread of the parent was loading the SDK, nobody here can ever load the rest: it would wait."""
    if _waits() and SDK in sys.modules and not hooks.has_run(SDK) and forks.is_importing():
        COMPLETION.failed = True
        line = "the program's own spans are not traced in this child process: it was forked while the SDK was loaded"
        guard.say(line, slug="child-not-loading")


def _waits() -> bool:
    return COMPLETION.make is not None and COMPLETION.provider is None and not COMPLETION.failed


@contextmanager
def _prepared() -> Iterator[None]:
    """Around what loads the SDK, which raises where a variable of its is wrong."""
    with forks.loading(), guard.guarded(LOADING), shadows.out_of_the_way(), hidden(Process.settings.unreadable_for_sdk):
        yield
