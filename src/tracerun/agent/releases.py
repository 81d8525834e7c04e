"""Which OpenTelemetry this process works with: the program's own, or ours; and whether the releases fit.

Asked before anything is patched. The versions come from the packages' own version modules; importlib.metadata
would cost 30 ms, and there is none for what is served from the launcher's installation.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import PathFinder
from _signal import NSIG, getsignal

from tracerun import __version__
from tracerun.agent import foreign
from tracerun.agent.guard import first_line
from tracerun.versions import BELOW, OLDEST_API, OLDEST_CONVENTIONS, OLDEST_SDK, as_numbers, outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracerun.settings import Settings

US = f"tracerun {__version__}"


class Unfit(Exception):  # noqa: N818 - what it is, not that it is an error
    """The releases cannot work together; the message names both sides and the fix."""


class Passing(Exception):  # noqa: N818 - as above
    """What may be otherwise the next time: no memory, no file descriptor; the message says it."""


def load(settings: Settings) -> None:
    """Imports the API, from the launcher's installation where the program has none, and sees to it that the SDK fits.

    The SDK is not imported, unless it has to be tried out.

    Raises:
        Unfit: They are not there, do not fit or cannot be imported; nothing is traced then.
    """
    _check_name()
    api, sdk = _version("version"), _version("sdk.version")
    if sdk:
        _check_own(api, sdk)
    else:
        _check_own_api(api)
        _serve_ours(settings, api)
    try:
        __import__("opentelemetry.propagate")
        if api and not sdk:
            _try_out()
    except Exception as error:  # packages that do not fit fail in many ways
        foreign.withdraw()
        raise Unfit(_not_working(api, sdk, error)) from error


def load_sdk() -> None:
    """Imports the SDK.

    Raises:
        Unfit: It does not fit.
        Passing: It cannot be imported at this moment.
        Exception: The program's own handler of a signal has raised it.
    """
    try:
        __import__("opentelemetry.sdk.trace")
    except Exception as error:
        if is_of_a_handler(error):
            raise
        if isinstance(error, (OSError, MemoryError)):
            raise Passing(first_line(error)) from error
        raise Unfit(_not_working(_version("version"), _version("sdk.version"), error)) from error


def is_of_a_handler(error: Exception) -> bool:
    """Whether the program's handler of a signal has raised it, in the middle of what we do: it is the program's."""
    handlers = [getsignal(number) for number in range(1, NSIG)]
    codes = {getattr(handler, "__code__", getattr(type(handler).__call__, "__code__", None)) for handler in handlers}
    where = error.__traceback__
    while where is not None:
        if where.tb_frame.f_code in codes:
            return True
        where = where.tb_next
    return False


def _check_name() -> None:
    """Whether ``opentelemetry`` is another module: importing it would run the program's own code."""
    module = sys.modules.get(foreign.ROOT)
    spec = PathFinder.find_spec(foreign.ROOT) if module is None else module.__spec__
    if spec is not None and (spec.submodule_search_locations is None or spec.origin):
        raise Unfit(f"{spec.origin} stands in the place of OpenTelemetry's packages; rename that file")


def _version(module: str) -> str:
    """What a version module of OpenTelemetry says; empty where there is none."""
    name = f"{foreign.ROOT}.{module}"
    try:
        __import__(name)
        found = sys.modules[name].__version__
    except Exception:  # noqa: BLE001 - whatever is wrong there, it cannot be used
        return ""
    return found if isinstance(found, str) else ""


def _check_own(api: str, sdk: str) -> None:
    """The program's own API and SDK: of one release, as the SDK itself requires it, and not too old."""
    if as_numbers(api)[:2] != as_numbers(sdk)[:2]:
        raise Unfit(
            f"the program has opentelemetry-api {api or '(none)'} and opentelemetry-sdk {sdk}, "
            f"{US} works with both of one release; install that in {sys.prefix}"
        )
    _check_range("opentelemetry-sdk", sdk, OLDEST_SDK)


def _check_own_api(api: str) -> None:
    """The program's own API, or its own semantic conventions, under our SDK."""
    if api:
        _check_range("opentelemetry-api", api, OLDEST_API)
    conventions = _version("semconv.version")
    if conventions:
        _check_range("opentelemetry-semantic-conventions", conventions, OLDEST_CONVENTIONS)


def _check_range(distribution: str, version: str, oldest: str) -> None:
    if outside(version, oldest, BELOW):
        raise Unfit(
            f"the program has {distribution} {version}, {US} works with {oldest} and later (below {BELOW}); "
            f"update it in {sys.prefix}"
        )


def _serve_ours(settings: Settings, api: str) -> None:
    places = foreign.folders(settings.site)
    if not places:
        raise Unfit(f"there is no opentelemetry-sdk in {sys.prefix}, and none beside {US}; install one")
    foreign.serve(places, with_api=not api)


def _try_out() -> None:
    """Makes a span of our SDK on the program's API: what does not fit is to fail here, not in the program."""
    from opentelemetry import propagate, trace  # noqa: PLC0415 - loaded by now
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    # Ours, because the SDK's own draws from the program's `random` and adds to its warning filters.
    from tracerun.agent.ids import PrivateIdGenerator  # noqa: PLC0415
    from tracerun.agent.provider import OurProvider  # noqa: PLC0415

    tracer = OurProvider(
        sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False, id_generator=PrivateIdGenerator()
    ).get_tracer("tracerun")
    with tracer.start_as_current_span("parent", attributes={"key": 1}) as parent:
        parent.set_attributes({"key": (1, 2)})
        parent.add_event("event", {"key": "value"})
        parent.record_exception(ValueError(""))
        parent.set_status(trace.Status(trace.StatusCode.ERROR, "why"))
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        links = [trace.Link(parent.get_span_context(), {"key": True})]
        tracer.start_span("child", propagate.extract(carrier), links=links).end()


def _not_working(api: str, sdk: str, error: Exception) -> str:
    what = f"the OpenTelemetry of {US} does not work with this program's packages"
    if api or sdk:
        what = f"the program's opentelemetry-api {api} does not work with opentelemetry-sdk {sdk or f'of {US}'}"
    return f"{what} ({type(error).__name__}: {first_line(error)}); update them in {sys.prefix}"
