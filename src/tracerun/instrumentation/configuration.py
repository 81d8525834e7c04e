"""What the settings say to the instrumentation, handed out once, when the SDK is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracerun.instrumentation import exclusion, headers, methods, redaction
from tracerun.instrumentation.propagation import allow_baggage

if TYPE_CHECKING:
    from tracerun.settings import Settings


def apply(settings: Settings) -> list[str]:
    """Hands the settings out; a line for each that is wrong."""
    redaction.add_keys(settings.redact)
    methods.set_known(settings.known_methods)
    allow_baggage(settings.baggage_hosts)
    return exclusion.configure(settings) + headers.configure(settings)
