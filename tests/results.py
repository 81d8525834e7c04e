"""What a run of the tests has shown of each library: ``python -m tests.results FILE.xml`` writes docs/libraries.json.

FILE.xml is what ``pytest --junitxml`` writes; docs/libraries.md is made from the table of libraries and that file.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tracerun.instrumentation.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracerun.instrumentation.catalog import Library

RESULTS = ROOT / "docs" / "libraries.json"
FRAMEWORKS = "test_frameworks.test_requests_of_every_sort"
SERVERS = (FRAMEWORKS, "test_server_matrix.test_every_request_once", "test_http_servers.test_any_application")
# What is shown by which tests: of those with the library's name in their parameters one has passed, and none failed.
CLIENT: dict[str, tuple[str, ...]] = {
    "traced": ("test_http_clients.test_one_span", "test_http_clients_releases.test_niquests"),
    "context passed on": ("test_http_clients.test_context_goes_out_in_w3c_headers",),
    "streamed bodies": ("test_streaming.test_read_to_the_end", "test_streaming_clients.test_read_to_the_end"),
    "excluded URLs": ("test_exclude.test_a_clients_excluded_call", "test_exclude.test_excluded_calls_of_other_clients"),
    "secrets hidden": ("test_secrets.test_clients", "test_http_clients.test_credentials_stay_out_of_the_span"),
    "headers captured": ("test_headers.test_a_clients_headers", "test_headers.test_headers_of_other_clients"),
    "oldest release": ("test_http_clients_releases.test_oldest_release[", "test_http_clients_releases.test_other"),
}
SERVER: dict[str, tuple[str, ...]] = {
    "traced": SERVERS,
    "context passed on": SERVERS,
    "route": (FRAMEWORKS, "test_http_servers.test_requests_of_every_sort"),
    "streamed bodies": (FRAMEWORKS, "test_http_servers.test_requests_of_every_sort"),
    "excluded URLs": (
        "test_exclude.test_an_excluded_request_leaves_nothing",
        "test_exclude.test_excluded_requests_of_other_servers",
    ),
    "secrets hidden": ("test_secrets.test_servers",),
    "headers captured": ("test_headers.test_a_servers_headers",),
    "oldest release": (FRAMEWORKS, "test_http_servers.test_any_application"),
}
RPC: dict[str, dict[str, tuple[str, ...]]] = {
    "grpcio": {
        "traced": ("test_grpc.test_same_call_and_two_spans",),
        "context passed on": ("test_grpc.test_same_call_and_two_spans",),
        "streamed bodies": ("test_grpc.test_same_call_and_two_spans",),
        "excluded URLs": ("test_exclude.test_grpc_health_checks",),
        "secrets hidden": ("test_secrets.test_grpc",),
        "headers captured": ("test_headers.test_grpc_metadata",),
    },
    "grpclib": {
        "traced": ("test_grpclib.test_calls",),
        "context passed on": ("test_grpclib.test_the_context_is_the_handlers",),
        "streamed bodies": ("test_grpclib.test_calls",),
        "oldest release": ("test_grpclib.test_oldest_release",),
    },
    "connectrpc": {"traced": ("test_connect.",), "context passed on": ("test_connect.",)},
}
OLDEST = "oldest release"
COLUMNS = tuple(dict.fromkeys((*CLIENT, *SERVER)))


def main(path: str) -> None:
    """Reads the results of a run, and writes what they show."""
    outcomes: dict[str, bool] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('tests.')[2]}.{case.get('name')}"
        outcomes[name] = not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
    shown = {library.name: list(_shown(library, outcomes)) for library in CATALOG}
    RESULTS.write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")


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
        if of_library and all(of_library):
            yield column


def _names(library: Library, parameters: str) -> bool:
    """Whether a test's parameters name a library, by any of its names."""
    short = re.sub(r"[-_](client|server)$", "", library.name)
    names = {library.name, short, library.name.replace("_", "."), library.distribution or short}
    return any(re.search(rf"(^|[^\w.]){re.escape(name)}($|[^\w.])", parameters.lower()) for name in names)


if __name__ == "__main__":
    main(sys.argv[1])
