"""The resource of this process: service, distro, process and host.

Source: semantic conventions for resources; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES as the
specification has them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from tracerun import __version__
from tracerun.agent.service import name_of

if TYPE_CHECKING:
    from tracerun.settings import Settings


def attributes(settings: Settings) -> dict[str, Any]:
    """All that is known without the SDK; what the user set wins over what is detected."""
    return {
        **_of_sdk(),
        **_of_host(),
        **of_process(),
        **settings.resource,
        "service.name": name_of(settings),
    }


def with_detected(settings: Settings, known: dict[str, Any]) -> dict[str, Any]:
    """The same, with what the detectors find that the user asks for."""
    # Resource.create runs them on threads; without any asked for that is not worth its price.
    if not settings.resource_detectors:
        return known
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - with the SDK, not before

    return dict(Resource.create(known).attributes)


def _of_sdk() -> dict[str, str]:
    from opentelemetry.sdk.version import __version__ as sdk_version  # noqa: PLC0415 - no more of it

    return {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "tracerun",
        "telemetry.distro.version": __version__,
    }


def _of_host() -> dict[str, str]:
    if not hasattr(os, "uname"):
        return {}
    system = os.uname()
    return {
        "host.name": system.nodename,
        "host.arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(system.machine, system.machine),
        "os.type": system.sysname.lower(),
    }


def of_process() -> dict[str, Any]:
    """What differs from process to process, and so is made anew after a fork.

    The command line is left out: it may hold secrets.
    """
    return {
        "service.instance.id": _new_uuid(),
        "process.pid": os.getpid(),
        "process.executable.name": os.path.basename(sys.executable or "python"),
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": ".".join(str(part) for part in sys.version_info[:3]),
    }


def _new_uuid() -> str:
    """A random UUID (RFC 9562, version 4), from the system's randomness: never from the program's ``random``."""
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    digits = number.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
