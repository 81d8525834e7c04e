"""The one table of libraries: what is traced, from which version on, and where it is hooked.

Adding a library is one record here and one instrumentor module beside it; the agent,
``--list-instrumentations``, the documentation and the tests all read this table.
"""

from __future__ import annotations


class Library:
    """One library that is traced.

    Attributes:
        name: The instrumentation's name in ``--only`` and ``--disable``; upstream's, where upstream has one.
        distribution: The name of the library's distribution on PyPI.
        minimum: The oldest version that is traced (and tested).
        below: The first version that is not traced any more; empty where none is known.
        instrumentor: The module of this package that patches the library.
        entries: Where the library is entered, as ``module:Class.method``. Until the first call of one of
            them nothing but a trampoline stands there; that call loads the instrumentor and the SDK.
        kind: ``client`` or ``server``.
        note: What a user should know, for the list of libraries.
    """

    __slots__ = ("below", "distribution", "entries", "instrumentor", "kind", "minimum", "name", "note")

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        distribution: str,
        minimum: str,
        instrumentor: str,
        entries: tuple[str, ...],
        below: str = "",
        note: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.distribution = distribution
        self.minimum = minimum
        self.below = below
        self.instrumentor = instrumentor
        self.entries = entries
        self.note = note

    @property
    def modules(self) -> list[str]:
        """The modules whose import is waited for, each once."""
        return list(dict.fromkeys(entry.partition(":")[0] for entry in self.entries))

    @property
    def supported(self) -> str:
        """The supported versions as a requirement, such as ``>=2.28`` or ``>=2.28,<3``."""
        return f">={self.minimum}" + (f",<{self.below}" if self.below else "")


CATALOG = (
    Library(
        "requests",
        "client",
        distribution="requests",
        minimum="2.28",
        instrumentor="requests",
        entries=("requests.adapters:HTTPAdapter.send",),
    ),
    Library(
        "urllib3",
        "client",
        distribution="urllib3",
        minimum="1.26",
        instrumentor="urllib3",
        entries=("urllib3.connectionpool:HTTPConnectionPool.urlopen",),
    ),
    Library(
        "httpx",
        "client",
        distribution="httpx",
        minimum="0.24",
        instrumentor="httpx",
        entries=(
            "httpx._client:Client._send_single_request",
            "httpx._client:AsyncClient._send_single_request",
        ),
    ),
    Library(
        "flask",
        "server",
        distribution="flask",
        minimum="2.2",
        instrumentor="flask",
        entries=("flask.app:Flask.__init__",),
    ),
    Library(
        "fastapi",
        "server",
        distribution="fastapi",
        minimum="0.100",
        instrumentor="fastapi",
        entries=("fastapi.applications:FastAPI.__init__",),
    ),
    Library(
        "starlette",
        "server",
        distribution="starlette",
        minimum="0.27",
        instrumentor="starlette",
        entries=("starlette.applications:Starlette.__init__",),
    ),
    Library(
        "django",
        "server",
        distribution="django",
        minimum="4.2",
        instrumentor="django",
        entries=("django.core.handlers.base:BaseHandler.load_middleware",),
        note="WSGI and ASGI",
    ),
    Library(
        "uvicorn",
        "server",
        distribution="uvicorn",
        minimum="0.23",
        instrumentor="uvicorn",
        entries=("uvicorn.config:Config.load",),
        note="any ASGI application",
    ),
    Library(
        "grpc_client",
        "client",
        distribution="grpcio",
        minimum="1.59",
        instrumentor="grpc_client",
        entries=("grpc._channel:Channel.__init__",),
    ),
    Library(
        "grpc_server",
        "server",
        distribution="grpcio",
        minimum="1.59",
        instrumentor="grpc_server",
        entries=("grpc._server:_Server.__init__",),
    ),
    Library(
        "grpc_aio_client",
        "client",
        distribution="grpcio",
        minimum="1.59",
        instrumentor="grpc_aio_client",
        entries=("grpc.aio._channel:Channel.__init__",),
    ),
    Library(
        "grpc_aio_server",
        "server",
        distribution="grpcio",
        minimum="1.59",
        instrumentor="grpc_aio_server",
        entries=("grpc.aio._server:Server.__init__",),
    ),
)


def by_name(name: str) -> Library | None:
    """The library of that name, or none."""
    return next((library for library in CATALOG if library.name == name), None)
