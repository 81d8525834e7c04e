"""The caller's context out of a request, and ours into one: what the propagators do, and what they need of us.

While they are the default two, plain headers of W3C Trace Context are read and written here; they read all others.
Source: W3C Trace Context; OpenTelemetry specification, "Propagators API".
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage, propagate
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracerun.instrumentation.headers import items_of
from tracerun.instrumentation.span_context import NO_STATE, NOT_SAMPLED, SAMPLED, valid_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.propagators.textmap import TextMapPropagator


class HeaderGetter(Getter[Any]):
    """Reads the propagators' fields from a carrier by a function from name to value.

    Args:
        read: That function.
        items: Gives all pairs of the carrier; not needed for a mapping of headers, or an object that has one.
        w3c: Gives the fields ``W3C`` in one go, or None for none of them; not needed where reading one is quick.
    """

    def __init__(
        self,
        read: Callable[[Any, str], str | None],
        items: Callable[[Any], Iterable[Any] | None] = items_of,
        w3c: Callable[[Any], Sequence[str | None] | None] | None = None,
    ) -> None:
        self._read = read
        self._items = items
        self.w3c = w3c or self._w3c

    def _w3c(self, carrier: Any) -> list[str | None] | None:
        fields = [self._read(carrier, name) for name in W3C]
        return None if fields == _NONE else fields

    def items(self, carrier: Any, names: Iterable[str]) -> Iterable[Any]:
        """All pairs of the carrier; of one that cannot list them those of the names."""
        listed = self._items(carrier)
        if listed is not None:
            return listed
        found = ((name, self._read(carrier, name)) for name in names)
        return [(name, value) for name, value in found if value is not None]

    def get(self, carrier: Any, key: str) -> list[str] | None:
        """The values of a field; none where it is missing."""
        value = self._read(carrier, key)
        return None if value is None else [value]

    def keys(self, carrier: Any) -> list[str]:  # noqa: ARG002 - no propagator of ours lists the fields
        """Unused by the W3C propagators."""
        return []


# The fields of the propagators that are used unless something else is set.
W3C = ("traceparent", "tracestate", "baggage")
_NONE: list[str | None] = [None] * len(W3C)
# As nearly all of them are; what else is valid, or nearly so, is the propagator's to read.
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])").fullmatch
_FLAGS = {"0": NOT_SAMPLED, "1": SAMPLED}
_FLAGS_TEXT = {NOT_SAMPLED: "00", SAMPLED: "01"}


# The global propagator, once it is known to be W3C's two.
_STANDARD: list[object] = [None]


def _is_standard(textmap: Any) -> bool:
    kinds = [type(part) for part in getattr(textmap, "_propagators", ())]
    if type(textmap) is not CompositePropagator or kinds != [TraceContextTextMapPropagator, W3CBaggagePropagator]:
        return False
    _STANDARD[0] = textmap
    return True


# What a request without a caller belongs to.
NOBODY = Context()


def extract(carrier: Any, getter: HeaderGetter) -> Context:
    """The caller's context from a request, on nothing else: what this process was doing is not its parent.

    Either ``NOBODY`` or made for this request alone.
    """
    textmap = propagate.get_global_textmap()
    if textmap is _STANDARD[0] or _is_standard(textmap):
        fields = getter.w3c(carrier)
        if fields is None:
            return NOBODY
        traceparent, tracestate, entries = fields
        if tracestate is None and entries is None:
            caller = _caller(traceparent)
            if caller is not None:
                return Context({_SPAN_KEY: NonRecordingSpan(caller)})
    return _extract_by(textmap, carrier, getter)


def _caller(traceparent: str | None) -> SpanContext | None:
    """The caller's span; none where the text is anything but plain."""
    match = _TRACEPARENT(traceparent or "")
    if match is None:
        return None
    trace_text, span_text, sampled = match.groups()
    trace_id, span_id = int(trace_text, 16), int(span_text, 16)
    return valid_context(trace_id, span_id, True, _FLAGS[sampled], NO_STATE) if trace_id and span_id else None


def _extract_by(textmap: TextMapPropagator, carrier: Any, getter: HeaderGetter) -> Context:
    context = textmap.extract(carrier, Context(), getter=getter)
    span = context.get(_SPAN_KEY)
    if isinstance(span, Span) and span.get_span_context().trace_flags & ~TraceFlags.SAMPLED:
        return _with_known_flags(context, span.get_span_context())
    return Context(context)  # a propagator may give the same one again


def _with_known_flags(context: Context, caller: SpanContext) -> Context:
    """Without the flags of later versions (*random*): they would go on to services that reject them."""
    flags = TraceFlags(caller.trace_flags & TraceFlags.SAMPLED)
    known = SpanContext(caller.trace_id, caller.span_id, caller.is_remote, flags, caller.trace_state)
    return Context({**context, _SPAN_KEY: NonRecordingSpan(known)})


class _NotOurs(logging.Filter):
    """Drops what OpenTelemetry logs about fields that we had it read, or attributes of ours: clients could flood a log.

    Looks at the stack, and so costs nothing unless something is logged.
    """

    def filter(self, _: logging.LogRecord) -> bool:
        """Whether the record is of the program's own doing: not ours who have called OpenTelemetry."""
        frame = sys._getframe().f_back
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            # The agent's spans and tracers stand between: whoever has called them is asked.
            if module.partition(".")[0] not in ("logging", "opentelemetry") and not module.startswith(_AGENT):
                return not module.startswith("tracerun.instrumentation.")
            frame = frame.f_back
        return True


_AGENT = "tracerun.agent."
_TALKATIVE = (
    *("attributes", "baggage", "baggage.propagation", "propagators.composite"),
    *("trace.propagation.tracecontext", "trace.span"),
)
for _name in _TALKATIVE:
    logging.getLogger(f"opentelemetry.{_name}").addFilter(_NotOurs())


class _BaggageHosts:
    """Where baggage may go, as the settings say.

    Attributes:
        known: The hosts; none where it may go everywhere.
        ends: The same of ``*.example.com``, as ``.example.com``.
    """

    def __init__(self) -> None:
        self.known: frozenset[str] | None = None
        self.ends: tuple[str, ...] = ()


BAGGAGE_HOSTS = _BaggageHosts()


def allow_baggage(hosts: tuple[str, ...]) -> None:
    """Takes the hosts that baggage may go to; an empty list is every host."""
    names = [host.lower() for host in hosts]
    BAGGAGE_HOSTS.known = frozenset(names) if names else None
    BAGGAGE_HOSTS.ends = tuple(name[1:] for name in names if name.startswith("*"))


def takes_baggage(host: str) -> bool:
    """Whether baggage may go to a host."""
    known, name = BAGGAGE_HOSTS.known, host.lower()
    return known is None or name in known or (bool(BAGGAGE_HOSTS.ends) and name.endswith(BAGGAGE_HOSTS.ends))


def inject_into(carrier: Any, context: Context, host: Callable[[], str] | None = None) -> None:
    """Puts the context's fields into a carrier that takes items.

    Args:
        carrier: Headers or metadata.
        context: The context.
        host: Gives the host that they are sent to, where only some may have baggage.
    """
    if BAGGAGE_HOSTS.known is not None and not takes_baggage(host() if host is not None else ""):
        context = baggage.clear(context)
    textmap = propagate.get_global_textmap()
    span: Any = context.get(_SPAN_KEY)
    if span is None or context.get(_BAGGAGE_KEY) or not (textmap is _STANDARD[0] or _is_standard(textmap)):
        textmap.inject(carrier, context)
        return
    own: SpanContext = span.get_span_context()
    if own.is_valid:
        # Through bytes: as formatted numbers the ids take more than twice the time.
        trace_id, span_id = own.trace_id.to_bytes(16, "big").hex(), own.span_id.to_bytes(8, "big").hex()
        flags = _FLAGS_TEXT.get(own.trace_flags) or f"{own.trace_flags:02x}"
        carrier["traceparent"] = f"00-{trace_id}-{span_id}-{flags}"
        state = own.trace_state
        if state is not NO_STATE and state:
            carrier["tracestate"] = state.to_header()
