"""What a run of the tests has shown of each library: ``python -m tests.results FILE.xml`` writes docs/libraries.json.

FILE.xml is what ``pytest --junitxml`` writes; docs/libraries.md is made from the table of libraries and that file.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, NamedTuple

from tests.conftest import ROOT
from tracerun.instrumentation.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracerun.instrumentation.catalog import Library

RESULTS = ROOT / "docs" / "libraries.json"
FRAMEWORKS = "test_frameworks.test_requests_of_every_sort"
ANY_APPLICATION = "test_http_servers.test_any_application"
SERVERS = (FRAMEWORKS, "test_server_matrix.test_every_request_once", ANY_APPLICATION)
SHOWN = ("test_frameworks.test_what_is_shown", "test_http_servers.test_what_is_shown")
EXCLUDED_CALLS = "test_exclude.test_excluded_calls_of_other_clients"
# What is shown by which tests: of those with the library's name in their parameters one has passed, and none failed.
CLIENT: dict[str, tuple[str, ...]] = {
    "traced": ("test_http_clients.test_one_span", "test_http_clients_releases.test_niquests"),
    "context passed on": ("test_http_clients.test_context_goes_out_in_w3c_headers", EXCLUDED_CALLS),
    "streamed bodies": ("test_streaming.test_read_to_the_end", "test_streaming_clients.test_read_to_the_end"),
    "excluded URLs": ("test_exclude.test_a_clients_excluded_call", EXCLUDED_CALLS),
    "secrets hidden": ("test_secrets.test_clients", "test_http_clients.test_credentials_stay_out_of_the_span"),
    "headers captured": ("test_headers.test_a_clients_headers", "test_headers.test_headers_of_other_clients"),
    "oldest release": (
        "test_http_clients_releases.test_oldest_release[",
        "test_http_clients_releases.test_other",
        "test_http_clients_releases.test_niquests",
    ),
}
SERVER: dict[str, tuple[str, ...]] = {
    "traced": SERVERS,
    "context passed on": SERVERS,
    "route": (FRAMEWORKS, "test_http_servers.test_requests_of_every_sort"),
    "streamed bodies": (FRAMEWORKS, ANY_APPLICATION, "test_http_servers.test_requests_of_every_sort"),
    "excluded URLs": (
        "test_exclude.test_an_excluded_request_leaves_nothing",
        "test_exclude.test_excluded_requests_of_other_servers",
        *SHOWN,
    ),
    "secrets hidden": ("test_secrets.test_servers", *SHOWN),
    "headers captured": ("test_headers.test_a_servers_headers", *SHOWN),
    "oldest release": (FRAMEWORKS, ANY_APPLICATION),
}
RPC: dict[str, dict[str, tuple[str, ...]]] = {
    "grpcio": {
        "traced": ("test_grpc.test_same_call_and_two_spans",),
        "context passed on": ("test_grpc.test_same_call_and_two_spans",),
        "streamed bodies": ("test_grpc.test_same_call_and_two_spans",),
        "excluded URLs": ("test_exclude.test_grpc_health_checks",),
        "secrets hidden": ("test_secrets.test_grpc",),
        "headers captured": ("test_headers.test_grpc_metadata",),
        "oldest release": ("test_grpc.test_oldest_release",),
    },
    "grpclib": {
        "traced": ("test_grpclib.test_calls",),
        "context passed on": ("test_grpclib.test_the_context_is_the_handlers",),
        "streamed bodies": ("test_grpclib.test_calls",),
        "excluded URLs": ("test_grpclib.test_what_is_shown",),
        "secrets hidden": ("test_grpclib.test_what_is_shown",),
        "headers captured": ("test_grpclib.test_what_is_shown", "test_grpclib.test_metadata_of_the_answer"),
        "oldest release": ("test_grpclib.test_oldest_release",),
    },
    "connectrpc": {
        "traced": ("test_connect.",),
        "context passed on": ("test_connect.",),
        "streamed bodies": ("test_connect.test_calls",),
        "excluded URLs": ("test_connect.test_what_is_shown",),
        "secrets hidden": ("test_connect.test_what_is_shown",),
        "headers captured": ("test_connect.test_what_is_shown", "test_connect.test_metadata"),
        "oldest release": ("test_connect.test_oldest_releases",),
    },
}
OLDEST = "oldest release"
COLUMNS = tuple(dict.fromkeys((*CLIENT, *SERVER)))


class Nothing(NamedTuple):
    """What some libraries have not, so that no test could show it.

    Attributes:
        column: What it is.
        libraries: Whose names they are.
        whose: The same for readers.
        reason: Why.
    """

    column: str
    libraries: tuple[str, ...]
    whose: str
    reason: str


_WHOLE = ("httplib2", "tornado_client", "pycurl")
_ANY = ("uvicorn", "cheroot", "gunicorn", "waitress", "hypercorn", "daphne", "granian", "werkzeug", "wsgiref", "gevent")
_NO_ROUTE = tuple(library.name for library in CATALOG if library.kind == "client" or library.distribution in RPC)
NOTHING = (
    Nothing("streamed bodies", _WHOLE, ", ".join(_WHOLE), "they have read the whole body when they return"),
    Nothing("streamed bodies", ("pyqwest",), "pyqwest", "it makes its spans itself, and ends them with the head"),
    Nothing("headers captured", ("pyqwest",), "pyqwest", "it makes its spans itself, in Rust, without headers"),
    Nothing("route", _NO_ROUTE, "clients and of RPC", "clients have none, and a call has its method"),
    Nothing("route", ("twisted", "http_server"), "twisted.web and http.server", "they have no templates"),
    Nothing("route", (*_ANY, "eventlet"), "servers of any application", "it is in the row of the framework"),
)


def main(path: str) -> None:
    """Reads the results of a run, and writes what they show."""
    outcomes: dict[str, bool] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('tests.')[2]}.{case.get('name')}"
        outcomes[name] = not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
    shown = {library.name: list(_shown(library, outcomes)) for library in CATALOG}
    RESULTS.write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")


def has_none(library: Library, column: str) -> bool:
    """Whether a library has nothing that a column could show."""
    return any(column == row.column and library.name in row.libraries for row in NOTHING)


def _shown(library: Library, outcomes: dict[str, bool]) -> Iterable[str]:
    rpc = RPC.get(library.distribution)
    for column, tests in (rpc or (CLIENT if library.kind == "client" else SERVER)).items():
        of_library = [
            passed
            for name, passed in outcomes.items()
            if any(name.startswith(test) for test in tests)
            and (rpc or _names(library, name.partition("[")[2]))
            and (column != OLDEST or rpc or library.kind == "client" or "oldest" in name)
        ]
        if of_library and all(of_library) and not has_none(library, column):
            yield column


def _names(library: Library, parameters: str) -> bool:
    """Whether a test's parameters name a library, by any of its names."""
    short = re.sub(r"[-_](client|server)$", "", library.name)
    names = {library.name, short, library.name.replace("_", "."), library.distribution or short}
    return any(re.search(rf"(^|[^\w.]){re.escape(name)}($|[^\w.])", parameters.lower()) for name in names)


if __name__ == "__main__":
    main(sys.argv[1])
