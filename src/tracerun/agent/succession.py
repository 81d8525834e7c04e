"""Whose tracers make our spans: ours, until the program sets a tracer provider of its own.

Source: OpenTelemetry specification, trace API, "TracerProvider".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from tracerun.agent import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracerun.agent.ids import PrivateIdGenerator


class _Succession:
    """The process's state.

    Attributes:
        ids: The generator of our own spans; none where the program or the official set-up makes them all.
        provider: The global provider that is ours, once there is one.
        successor: The program's own.
        tracer_of: Gives an instrumentor's tracer: of a name, a version and a schema's URL.
    """

    def __init__(self) -> None:
        self.ids: PrivateIdGenerator | None = None
        self.provider: trace.TracerProvider | None = None
        self.successor: trace.TracerProvider | None = None
        self.tracer_of: Callable[[str, str, str | None], trace.Tracer] = of_the_global_provider


def of_the_global_provider(name: str, version: str, schema_url: str | None) -> trace.Tracer:
    """A tracer of the global provider, whoever's that is."""
    return trace.get_tracer(name, version, schema_url=schema_url)


SUCCESSION = _Succession()


def has_begun() -> bool:
    """Whether there is a global provider already: the program was first (a sitecustomize of its own, say)."""
    return trace._TRACER_PROVIDER is not None


def be_global(provider: trace.TracerProvider) -> trace.TracerProvider | None:
    """Makes a provider of ours the global one, unless the program has its own.

    Not through ``set_tracer_provider``: that one can be called only once, and the call is the program's.

    Returns:
        The program's.
    """
    if SUCCESSION.successor is None and trace._TRACER_PROVIDER not in (None, provider):
        SUCCESSION.successor = trace._TRACER_PROVIDER
        line = "the program has a tracer provider of its own; spans go where that one sends them"
        guard.say(line, slug="own-provider")
    if trace._TRACER_PROVIDER is None:
        trace._TRACER_PROVIDER = SUCCESSION.provider = provider
    return SUCCESSION.successor


def started() -> int | None:
    """How many spans have begun in this process, where that is counted."""
    return getattr(SUCCESSION.ids, "started", None) if SUCCESSION.successor is None else None


def watch(hand_over: Callable[[trace.TracerProvider], None]) -> None:
    """Has the program's provider take over where it sets one.

    Args:
        hand_over: Has the tracers that are in use make their spans with the provider that it is given.
    """
    original = trace._set_tracer_provider

    def set_tracer_provider(tracer_provider: trace.TracerProvider, log: bool) -> None:
        original(tracer_provider, log)
        with guard.guarded("handing over to the program's tracer provider"):
            current = trace._TRACER_PROVIDER
            if current is not None and current is not SUCCESSION.provider and SUCCESSION.successor is None:
                SUCCESSION.successor = current
                hand_over(current)
                line = "the program has set a tracer provider of its own; spans go where that one sends them"
                guard.say(line, slug="own-provider")

    trace._set_tracer_provider = set_tracer_provider
