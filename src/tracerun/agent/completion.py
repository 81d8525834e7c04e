"""The SDK itself: loaded once somebody asks for more than our own spans are, which are made of the API alone.

That is a program that asks for the tracer provider (to make spans of its own, or to add a processor), that imports
the SDK, or that reads of a span of ours what only the SDK's has. To load it takes as long as all else that a traced
application needs, so that most programs do without.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tracerun.agent import forks, guard, hooks, shadows
from tracerun.agent.boot import Process
from tracerun.agent.threads import RLock
from tracerun.environment import hidden

if TYPE_CHECKING:
    from collections.abc import Callable

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
    waits = COMPLETION.make is not None and COMPLETION.provider is None and not COMPLETION.failed
    if waits and not sys.is_finalizing():
        from tracerun.agent import releases  # noqa: PLC0415 - loaded by now

        with forks.loading(), guard.guarded(LOADING), shadows.out_of_the_way(), hidden(_unreadable()):
            try:
                releases.load_sdk()
            except releases.Unfit as why:
                COMPLETION.failed = True
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
    """Our provider, where the SDK is known to be there."""
    provider = COMPLETION.provider
    assert provider is not None  # noqa: S101 - it is the SDK's own code that asks
    return provider


def on_sdk(_: object = None) -> None:
    """The SDK's code has run, whoever has imported it."""
    if COMPLETION.make is None or COMPLETION.provider is not None:
        return
    with forks.loading(), guard.guarded(LOADING), shadows.out_of_the_way(), hidden(_unreadable()):
        # All that is imported, before the lock is taken.
        import tracerun.agent.provider  # noqa: PLC0415 - builds on the SDK
        import tracerun.export.processor  # noqa: F401, PLC0415 - as above

        with COMPLETION.lock:
            if COMPLETION.provider is None:
                COMPLETION.provider = COMPLETION.make()
                guard.debug("the SDK is loaded; our spans are its own from here on")


def _unreadable() -> list[str]:
    """The SDK raises where one of these is wrong."""
    return Process.settings.unreadable_for_sdk
