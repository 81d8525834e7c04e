"""TLS as the transport has it, with the files that the settings name."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracerun.settings import Settings

AUTHORITIES = "OTEL_EXPORTER_OTLP_CERTIFICATE"
CLIENT, CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"


class WrongFile(Exception):  # noqa: N818 - what it is, not that it is an error
    """A file of the settings is missing, or has not in it what it should.

    Args:
        variable: That names it.
        path: The file.
        why: What is wrong.
    """

    def __init__(self, variable: str, path: str, why: str) -> None:
        super().__init__(f"{variable}={path}: {why}")
        self.variable = variable


def context(settings: Settings, *, strict: bool) -> ssl.SSLContext:
    """A client's context.

    Args:
        settings: That name the files.
        strict: Whether certificates are to keep to all of RFC 5280, as Python 3.13 and later want it.

    Raises:
        WrongFile: One of the files cannot be used.
    """
    files = {AUTHORITIES: settings.certificate, CLIENT: settings.client_certificate, CLIENT_KEY: settings.client_key}
    for variable, path in files.items():
        if path and not os.path.isfile(path):
            raise WrongFile(variable, path, "there is no such file")
    try:
        made = ssl.create_default_context(cafile=settings.certificate or None)
    except OSError:
        raise WrongFile(AUTHORITIES, settings.certificate, "no certificate can be read from it") from None
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if strict:
        made.verify_flags |= ssl.VERIFY_X509_STRICT
    if settings.client_certificate:
        try:
            made.load_cert_chain(settings.client_certificate, settings.client_key or None)
        except OSError:
            raise WrongFile(CLIENT, settings.client_certificate, "no certificate with its key can be read") from None
    return made
