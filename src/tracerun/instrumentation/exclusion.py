"""Which requests leave no span, nor anything that is done for them.

``--exclude-url`` names paths: ``/health`` is that path and all below it, ``/healthcare`` is another; ``*`` is any
text. ``OTEL_PYTHON_EXCLUDED_URLS`` holds regular expressions that are searched for in the whole URL;
``OTEL_PYTHON_<LIBRARY>_EXCLUDED_URLS`` stands in its place for one library, and
``OTEL_PYTHON_GRPC_EXCLUDED_SERVICES`` names gRPC services. To a gRPC call the path is ``/package.Service/Method``.

Which framework answers a request is not known where its span begins, in the server. So the variables of all server
libraries that the process has imported count there.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from tracerun.instrumentation.catalog import CATALOG
from tracerun.instrumentation.expressions import any_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracerun.settings import Settings

# In a context: what happens in it is not traced, and servers that are called from it are told so.
EXCLUDED_KEY = "tracerun.excluded"
# Names in upstream's variables that are those of no library here.
_ANY_SERVER = ("asgi", "wsgi")


class _Exclusion:
    """What is left out in this process.

    Attributes:
        on: Whether anything is: where not, a request costs this one look.
    """

    def __init__(self) -> None:
        self.on = False
        self.paths: re.Pattern[str] | None = None
        self.urls: re.Pattern[str] | None = None
        self.urls_of: Mapping[str, re.Pattern[str]] = {}
        self.services: frozenset[str] = frozenset()


EXCLUSION = _Exclusion()


def configure(settings: Settings) -> list[str]:
    """Takes what the settings leave out; a line for each regular expression that is none."""
    problems: list[str] = []
    EXCLUSION.paths = _of_paths(settings.exclude_url)
    EXCLUSION.urls = any_of("OTEL_PYTHON_EXCLUDED_URLS", settings.excluded_urls, problems)
    compiled = {
        library: any_of(f"OTEL_PYTHON_{library.upper()}_EXCLUDED_URLS", expressions, problems)
        for library, expressions in settings.excluded_urls_of.items()
    }
    EXCLUSION.urls_of = {library: pattern for library, pattern in compiled.items() if pattern is not None}
    EXCLUSION.services = frozenset(settings.excluded_services)
    EXCLUSION.on = bool(EXCLUSION.paths or EXCLUSION.urls or EXCLUSION.urls_of or EXCLUSION.services)
    return problems


def _of_paths(paths: Iterable[str]) -> re.Pattern[str] | None:
    if not paths:
        return None
    return re.compile("|".join(f"(?:{_of_path(path)})" for path in paths), re.DOTALL)


def _of_path(path: str) -> str:
    """A path and all below it; ``/`` by itself is the one page."""
    expression = re.escape(path).replace(r"\*", ".*").replace(r"\?", ".")
    return f"{expression}$" if path == "/" else expression if path.endswith("/") else f"{expression}(?:/|$)"


def excludes_incoming(attributes: Mapping[str, Any]) -> bool:
    """Whether an incoming request is left out, by its attributes."""
    path = attributes.get("url.path", "/")
    if EXCLUSION.paths is not None and EXCLUSION.paths.match(path):
        return True
    patterns = _of_servers()
    if not patterns:
        return False
    scheme, port = attributes.get("url.scheme", "http"), attributes.get("server.port")
    shown = f":{port}" if port and (scheme, port) not in (("http", 80), ("https", 443)) else ""
    query = attributes.get("url.query")
    url = f"{scheme}://{attributes.get('server.address', '')}{shown}{path}" + (f"?{query}" if query else "")
    return any(pattern.search(url) for pattern in patterns)


def _of_servers() -> list[re.Pattern[str]]:
    own = [pattern for library, pattern in EXCLUSION.urls_of.items() if _is_server_in_use(library)]
    return own or ([] if EXCLUSION.urls is None else [EXCLUSION.urls])


def _is_server_in_use(name: str) -> bool:
    library = next((library for library in CATALOG if library.name.replace("-", "_") == name), None)
    if library is None:
        return name in _ANY_SERVER
    return library.kind == "server" and any(module.partition(".")[0] in sys.modules for module in library.modules)


def excludes_outgoing(library: str, url: str) -> bool:
    """Whether a request that the program makes by a library is left out."""
    if EXCLUSION.paths is not None and EXCLUSION.paths.match(_path_of(url)):
        return True
    pattern = EXCLUSION.urls_of.get(library, EXCLUSION.urls)
    return pattern is not None and pattern.search(url) is not None


def _path_of(url: str) -> str:
    rest = url.partition("://")[2].partition("#")[0].partition("?")[0]
    return "/" + rest.partition("/")[2]


def excludes_call(method: str) -> bool:
    """Whether a gRPC call is left out, by its method: ``package.Service/Method``."""
    path = f"/{method}"
    if EXCLUSION.paths is not None and EXCLUSION.paths.match(path):
        return True
    if EXCLUSION.urls is not None and EXCLUSION.urls.search(path):
        return True
    return method.partition("/")[0] in EXCLUSION.services
