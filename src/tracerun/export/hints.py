"""The likely fix for a failed export, from what went wrong and where."""

from __future__ import annotations

_SETTING = "OTEL_EXPORTER_OTLP_ENDPOINT"


def advice(why: str, where: str) -> str:
    """What to try, to be put after the failure; empty where nothing is known.

    Args:
        why: What went wrong, as the transport says it.
        where: The destination, as it is shown.
    """
    text = why.lower()
    for found, fix in _FIXES:
        if any(part in text for part in found):
            return f" (is this it? {fix.format(plain=where.replace('https://', 'http://', 1))})"
    return ""


# In this order: what is said, and what helps.
_FIXES = (
    (
        ("wrong_version_number", "record layer failure", "http_request"),
        f"the receiver speaks no TLS: {_SETTING}={{plain}}",
    ),
    (
        ("certificate_verify_failed", "certificate verify failed", "hostname mismatch"),
        "name the authority that has signed its certificate in OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    (
        ("is no http",),
        "this port takes gRPC: OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or the receiver's HTTP port, which is 4318 as a rule",
    ),
    (("status 401", "status 403"), "credentials belong into OTEL_EXPORTER_OTLP_HEADERS, such as authorization=..."),
    (
        ("status 404", "status 405", "status 301", "status 302", "status 307", "status 308"),
        f"{_SETTING} is the base URL, to which /v1/traces is added; what follows the host in it may be wrong",
    ),
    (("status 400",), "the port may want TLS (https://) or another protocol (OTEL_EXPORTER_OTLP_PROTOCOL)"),
    (
        ("name or service", "name resolution", "no address"),
        f"the host's name in {_SETTING} is not known here",
    ),
    (("refused",), f"nothing listens there; start a collector, or name another one in {_SETTING}"),
)
