"""The answer to the test span that the agent has sent: taken, or which fault it speaks of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracerun.cli.check import probe, tls
from tracerun.cli.check.case import GRPC_EXPORTER
from tracerun.cli.check.finding import fault, ok, warning
from tracerun.cli.check.probe import HTTP1, HTTP2, TLS
from tracerun.cli.check.receiver import BASE, GRPC_PORT, HTTP_PORT, PROTOCOL

if TYPE_CHECKING:
    from tracerun.cli.check.finding import Finding
    from tracerun.cli.check.receiver import Receiver

LOG = "look into the receiver's log: the fault is there or behind it"
LESS = "raise its limit, or set OTEL_TRACES_SAMPLER=parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG=0.1"
# As long as the agent waits for the answer (`agent/proof.py`).
PATIENCE = 5.0
# By HTTP status (RFC 9110, RFC 6585): the slug, what it means here, the fix.
STATUSES = {
    407: ("proxy", "the proxy wants a user and a password", "set http_proxy=http://USER:PASSWORD@HOST:PORT"),
    413: ("rejected", "it finds one span too large", "raise its limit"),
    429: ("throttled", "it wants fewer requests", LESS),
}


def check(receiver: Receiver) -> Finding:
    """What became of the span."""
    sent = receiver.case.sent
    lanes = sent.report.get("lanes", [])
    outcome = lanes[receiver.index].get("outcome") if receiver.index < len(lanes) else None
    if outcome is None:
        what = f"no test span could be sent to {receiver.where} ({sent.trouble or 'the agent has made none'})"
        return fault("no-answer", what, "run the command with TRACERUN_DEBUG=true, and look at its lines")
    if outcome["delivered"]:
        return _taken(receiver, outcome)
    why = outcome["why"]
    if "rejected by the receiver" in outcome["dropped"]:
        says = f" and says: {why}" if why else ""
        what = f"{receiver.where} rejects the test span{says}"
        return fault("partial-success", what, "correct what it asks for, or its rules for spans")
    return _of_status(receiver, 413) if outcome["too_large"] else of_failure(receiver, why)


def of_failure(receiver: Receiver, why: str) -> Finding:
    """What a failure means, by what the exporter says of it."""
    if "certificate_verify_failed" in why.lower() or "certificate verify failed" in why.lower():
        # A newer Python, and gRPC, are stricter than our own, or trust others.
        what = f"the program does not trust the certificate of {receiver.place} ({why[-200:]})"
        return fault("unknown-authority", what, f"set {tls.AUTHORITIES} to the PEM file of the authority")
    status = _found(r"(?:status|code:) (\d{3})", why)
    if status:
        return _of_status(receiver, int(status))
    code = _found(r"StatusCode\.([A-Z_]+)", why)
    return _of_code(receiver, code, why) if code else _of_silence(receiver, why)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _taken(receiver: Receiver, outcome: dict[str, Any]) -> Finding:
    if not outcome["is_otlp"]:
        what = f"{receiver.where} answers as a web server does, and not as a receiver of OTLP"
        return fault("not-otlp", what, receiver.path_fix())
    if outcome["why"]:
        return warning("partial-success", f"{receiver.where} took the test span and says: {outcome['why']}")
    return ok("delivered", f"{receiver.where} took a test span")


def _of_status(receiver: Receiver, status: int) -> Finding:
    what = f"{receiver.where} answers with HTTP status {status}"
    if status in STATUSES:
        slug, meaning, fix = STATUSES[status]
        return fault(slug, f"{what}: {meaning}", fix)
    if status in (401, 403):
        return _unauthorised(receiver, what)
    if status in (404, 405):
        return fault("wrong-path", f"{what}: it takes no traces there", receiver.path_fix())
    if status == 415:  # noqa: PLR2004 - unsupported media type
        other = "http/protobuf" if receiver.case.settings.protocol == "http/json" else "http/json"
        return fault("rejected", f"{what}: it does not take this protocol", f"set {PROTOCOL}={other}")
    if status >= 500:  # noqa: PLR2004 - server errors
        return fault("receiver-fails", what, LOG)
    if status < 400:  # noqa: PLR2004 - redirects
        other = receiver.setting(scheme="http" if receiver.https else "https")
        return fault("redirected", what, f"set {receiver.variable} to where it leads, such as {other}")
    if not receiver.https and receiver.spoken() == TLS:
        return _plain_to_tls(receiver)
    return fault("rejected", what, LOG)


def _unauthorised(receiver: Receiver, what: str) -> Finding:
    names = ", ".join(receiver.case.settings.headers)
    fix = "set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN, or the header that it asks for"
    if names:
        fix = f"correct the value of {names} in OTEL_EXPORTER_OTLP_HEADERS (%20 for a space)"
    return fault("unauthorised", f"{what}: credentials are missing or wrong", fix)


def _of_code(receiver: Receiver, code: str, why: str) -> Finding:
    """A status of gRPC; UNAVAILABLE and others mean all that can go wrong before there is one."""
    what = f"{receiver.where} answers with the gRPC status {code}"
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return _unauthorised(receiver, what)
    if code == "RESOURCE_EXHAUSTED":
        return fault("throttled", f"{what}: it wants fewer requests", LESS)
    spoken = receiver.spoken()
    if spoken == HTTP1 or (receiver.https and spoken == TLS):
        return _http_port(receiver)
    if spoken == TLS:
        return _plain_to_tls(receiver)
    if code == "UNIMPLEMENTED":
        return fault("wrong-path", f"{what}: it takes no traces", f"set {BASE} to a receiver of OTLP")
    if code == "DEADLINE_EXCEEDED":
        return _no_answer(receiver)
    details = why.partition("error details: ")[2][:100]
    return fault("receiver-fails", f"{what} ({details})" if details else what, LOG)


def _of_silence(receiver: Receiver, why: str) -> Finding:
    """No answer that could be read: what is spoken there instead says why."""
    if why.startswith("the proxy"):
        return fault("proxy", why, f"correct the proxy's URL, or set no_proxy={receiver.host}")
    spoken = receiver.spoken()
    if spoken == HTTP2 and not receiver.is_grpc:
        return grpc_port(receiver)
    if spoken == TLS and not receiver.https:
        return _plain_to_tls(receiver)
    if "timed out" in why.lower() or not why:
        return _no_answer(receiver)
    alert = receiver.https and receiver.can_be_probed and probe.ended_by(*receiver.first_hop, receiver.tls_context())
    if alert:
        return broken_tls(receiver, alert)
    if not spoken and receiver.can_be_probed:
        fix = f"set {BASE} to a receiver of OTLP, such as http://localhost:{HTTP_PORT}"
        return fault("not-http", f"{receiver.place} speaks neither HTTP nor gRPC ({why})", fix)
    return fault("receiver-fails", f"{receiver.where} ends the connection ({why})", LOG)


def broken_tls(receiver: Receiver, why: str) -> Finding:
    """TLS is spoken there, and ended."""
    fix = f"set {tls.CLIENT} and {tls.CLIENT_KEY} if it asks for a client's certificate; else look into its log"
    return fault("tls", f"{receiver.place} ends TLS ({why})", fix)


def _no_answer(receiver: Receiver) -> Finding:
    limit = min(PATIENCE, receiver.case.settings.timeout)
    what = f"{receiver.place} takes the connection, and does not answer the test span within {limit:g} s"
    more = "; OTEL_EXPORTER_OTLP_TIMEOUT may be too low" if limit < PATIENCE else ""
    return fault("no-answer", what, f"look whether the receiver hangs, or set {BASE} to another one{more}")


def _plain_to_tls(receiver: Receiver) -> Finding:
    what = f"{receiver.place} speaks TLS, and the endpoint is http"
    return fault("plain-to-tls", what, f"set {receiver.setting(scheme='https')}")


def grpc_port(receiver: Receiver) -> Finding:
    """The finding where gRPC is spoken and HTTP was sent."""
    what = f"{receiver.place} takes gRPC, and the protocol is {receiver.case.settings.protocol or 'http/protobuf'}"
    case, http = receiver.case, f"{receiver.setting(port=HTTP_PORT)}, the receiver's HTTP port as a rule"
    if GRPC_EXPORTER in case.installed:
        return fault("grpc-port", what, f"set {PROTOCOL}=grpc, or {http}")
    return fault("grpc-port", what, f"set {http}; or {PROTOCOL}=grpc, with {case.installing(GRPC_EXPORTER)}")


def _http_port(receiver: Receiver) -> Finding:
    what = f"{receiver.place} takes HTTP, and the protocol is grpc"
    return fault("http-port", what, f"set {PROTOCOL}=http/protobuf, or {receiver.setting(port=GRPC_PORT)}")
