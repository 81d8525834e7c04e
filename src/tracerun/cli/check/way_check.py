"""The way to a receiver, step by step: its name, a connection, TLS."""

from __future__ import annotations

import errno
import ssl
from base64 import b64encode
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tracerun.cli.check import answer_check, probe, tls
from tracerun.cli.check.finding import fault, ok
from tracerun.cli.check.probe import HTTP2
from tracerun.cli.check.receiver import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracerun.cli.check.finding import Finding
    from tracerun.cli.check.receiver import Receiver

NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EADDRNOTAVAIL)
# OpenSSL's reasons for refusing a certificate (X509_V_ERR_*).
_NOT_YET, _EXPIRED, _NAMES = 9, 10, (62, 63, 64)


def check(receiver: Receiver) -> Iterator[Finding]:
    """One finding for each step; a fault is the last one."""
    host, port = receiver.first_hop
    found: list[Any] = []
    if port:
        try:
            found = probe.addresses(host, port)
        except OSError as error:
            yield _unknown_host(receiver, error)
            return
        known = list(dict.fromkeys(address[4][0] for address in found))
        if known != [host]:
            yield ok("name", f"{host} is {', '.join(known)}")
    hop = f"the proxy {host}:{port}" if receiver.by_proxy else receiver.place
    try:
        probe.connected(host, port, found).close()
    except OSError as error:
        yield _no_connection(receiver, hop, error)
        return
    yield ok("connection", f"{hop} takes connections")
    if receiver.https:
        yield _of_tls(receiver)


def _unknown_host(receiver: Receiver, error: OSError) -> Finding:
    what = f"the name {receiver.first_hop[0]} is not known here ({error.strerror})"
    if receiver.by_proxy:
        return fault("proxy", what, _without_proxy(receiver))
    return fault("unknown-host", what, f"set {receiver.setting(host='localhost')}, or a host that is known here")


def _no_connection(receiver: Receiver, hop: str, error: OSError) -> Finding:
    why = error.strerror or "no answer"
    if receiver.by_proxy:
        return fault("proxy", f"{hop} takes no connection ({why})", _without_proxy(receiver))
    if isinstance(error, TimeoutError):
        what = f"{hop} does not answer: a firewall drops what is sent there, or the host is down"
        return fault("black-hole", what, f"open that port, or set {BASE} to a receiver that can be reached")
    if error.errno in NO_WAY:
        return fault("unroutable", f"there is no way to {hop} ({why})", f"set {BASE} to a host that can be reached")
    fix = receiver.setting_of_other_port() or f"start the receiver, or set {BASE} to one that runs"
    return fault("refused", f"nothing listens on {hop} ({why})", fix)


def _of_tls(receiver: Receiver) -> Finding:
    try:
        context = receiver.tls_context()
        with closing(probe.connected(*receiver.first_hop)) as made:
            if receiver.by_proxy:
                credentials = _credentials(receiver.proxy)
                refusal = probe.tunnel(made, receiver.host, receiver.port, credentials)
                if refusal:
                    what = f"the proxy lets nobody through to {receiver.place} ({refusal})"
                    return fault("proxy", what, _without_proxy(receiver))
            with context.wrap_socket(made, server_hostname=receiver.host) as secured:
                return ok("tls", f"{secured.version()}, with a certificate that is trusted")
    except tls.WrongFile as error:
        return fault("certificate-file", str(error), f"correct {error.variable}, or unset it")
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(receiver, error)
    except (OSError, ValueError) as error:
        return _no_tls(receiver, error)


def _of_certificate(receiver: Receiver, error: ssl.SSLCertVerificationError) -> Finding:
    certificate = f"the certificate of {receiver.place}"
    if error.verify_code == _EXPIRED:
        return fault("expired-certificate", f"{certificate} has expired", "renew it at the receiver")
    if error.verify_code == _NOT_YET:
        return fault("expired-certificate", f"{certificate} is not valid yet", "correct the clock, here or there")
    if error.verify_code in _NAMES:
        what = f"{certificate} is for another host ({error.verify_message.rstrip('.')})"
        return fault("certificate-name", what, f"name in {receiver.variable} the host that it is for")
    what = f"nobody who is trusted here has signed {certificate} ({error.verify_message})"
    authorities = receiver.case.settings.certificate
    now = f"; {authorities} does not hold it" if authorities else ""
    return fault("unknown-authority", what, f"set {tls.AUTHORITIES} to the PEM file of the authority that has{now}")


def _no_tls(receiver: Receiver, error: OSError | ValueError) -> Finding:
    """Something else than TLS is spoken there, or the wrong TLS."""
    if receiver.can_be_probed:
        chosen = receiver.spoken()
        if chosen == HTTP2 and not receiver.is_grpc:
            return answer_check.grpc_port(receiver)
        if not chosen and probe.speaks(receiver.host, receiver.port):
            what = f"{receiver.place} speaks no TLS, and the endpoint is https"
            return fault("tls-to-plain", what, f"set {receiver.setting(scheme='http')}")
    reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or type(error).__name__
    return answer_check.broken_tls(receiver, str(reason))


def _without_proxy(receiver: Receiver) -> str:
    variable = "https_proxy" if receiver.https else "http_proxy"
    if receiver.is_grpc:
        variable = next(name for name in ("grpc_proxy", "https_proxy", "http_proxy") if receiver.case.env.get(name))
    return f"correct {variable} (http://USER:PASSWORD@HOST:PORT), or set no_proxy={receiver.host}"


def _credentials(proxy: str) -> str:
    """HTTP's basic authentication (RFC 7617) for a proxy; empty where its URL has none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
