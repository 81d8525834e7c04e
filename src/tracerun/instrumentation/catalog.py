"""The one table of libraries: what is traced, from which version on, and where it is hooked.

Adding a library is one record here and one instrumentor module beside it; the agent,
``--list-instrumentations``, the documentation and the tests all read this table.
"""

from __future__ import annotations


class Library:
    """One library that is traced.

    Attributes:
        name: The instrumentation's name in ``--only`` and ``--disable``; upstream's, where upstream has one.
        distribution: The name of the library's distribution on PyPI, mostly ``name``; empty where it is Python's own.
        minimum: The oldest version that is traced (and tested).
        below: The first version that is not traced any more; empty where none is known.
        instrumentor: The module of this package that patches the library; mostly called as the library is.
        entries: Where the library is entered, as ``module:Class.method`` or ``module:function``; one that ends in
            ``?`` is not in all releases. Until the first call of one of them nothing but a trampoline stands there;
            that call loads the instrumentor and the SDK, and puts the instrumentor's ``PATCHES`` in, whose places may
            be others.
        opened: Classes made in C whose methods cannot be replaced, as ``module:Class``: at the import a subclass of
            the same name is put in their place, which takes the patches.
        kind: ``client`` or ``server``.
        note: What a user should know, for the list of libraries.
        untouched: Why nothing of ours is put into the library, where that is so.
    """

    __slots__ = (
        "below",
        "distribution",
        "entries",
        "instrumentor",
        "kind",
        "minimum",
        "name",
        "note",
        "opened",
        "untouched",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        distribution: str = "",
        minimum: str = "",
        instrumentor: str = "",
        entries: tuple[str, ...] = (),
        below: str = "",
        opened: tuple[str, ...] = (),
        note: str = "",
        untouched: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.distribution = distribution or (name if minimum else "")
        self.minimum = minimum
        self.below = below
        self.instrumentor = instrumentor or ("" if untouched else name.replace("-", "_"))
        self.entries = entries
        self.opened = opened
        self.note = note
        self.untouched = untouched

    @property
    def modules(self) -> list[str]:
        """The modules whose import is waited for, each once."""
        return list(dict.fromkeys(entry.partition(":")[0] for entry in self.entries))

    @property
    def supported(self) -> str:
        """The supported versions as a requirement, such as ``>=2.28`` or ``>=2.28,<3``; empty for Python's own."""
        if not self.distribution:
            return ""
        return f">={self.minimum}" + (f",<{self.below}" if self.below else "")


TRACES_ITSELF = "traces itself, through OpenTelemetry's API"

CATALOG = (
    Library(
        "requests",
        "client",
        minimum="2.28",
        entries=("requests.adapters:HTTPAdapter.send", "requests.auth:HTTPDigestAuth.handle_401"),
    ),
    Library(
        "urllib3",
        "client",
        minimum="1.26",
        entries=(
            "urllib3.connectionpool:HTTPConnectionPool.urlopen",
            "urllib3._async.connectionpool:AsyncHTTPConnectionPool.urlopen",
        ),
        note="botocore over it; urllib3-future in its place",
    ),
    Library(
        "urllib3_future",
        "client",
        distribution="urllib3-future",
        minimum="2.11",
        entries=(
            "urllib3_future.connectionpool:HTTPConnectionPool.urlopen",
            "urllib3_future._async.connectionpool:AsyncHTTPConnectionPool.urlopen",
        ),
        note="niquests over it",
    ),
    Library(
        "httpx",
        "client",
        minimum="0.24",
        entries=(
            "httpx._client:Client._send_single_request",
            "httpx._client:AsyncClient._send_single_request",
        ),
    ),
    Library(
        "urllib",
        "client",
        entries=("urllib.request:AbstractHTTPHandler.do_open",),
        note="urllib.request",
    ),
    Library(
        "http_client",
        "client",
        entries=("http.client:HTTPConnection.endheaders",),
        note="http.client, where no library above it is traced",
    ),
    Library(
        "aiohttp-client",
        "client",
        distribution="aiohttp",
        minimum="3.8.3",
        entries=("aiohttp.client:ClientSession._request", "aiohttp.connector:BaseConnector.connect"),
    ),
    Library(
        "httplib2",
        "client",
        minimum="0.20",
        entries=("httplib2:Http.request", "httplib2:Http._conn_request"),
    ),
    Library(
        "tornado_client",
        "client",
        distribution="tornado",
        minimum="6.3",
        entries=(
            "tornado.simple_httpclient:SimpleAsyncHTTPClient.fetch_impl",
            "tornado.curl_httpclient:CurlAsyncHTTPClient.fetch_impl",
            "tornado.websocket:WebSocketClientConnection.__init__",
        ),
        note="the simple and the curl client, websocket_connect; redirects that libcurl follows are one request",
    ),
    Library(
        "pycurl",
        "client",
        minimum="7.45.3",
        entries=("pycurl:Curl.setopt", "pycurl:CurlMulti.add_handle"),
        opened=("pycurl:Curl", "pycurl:CurlMulti"),
        note="single and multi; redirects that libcurl follows are one request",
    ),
    Library(
        "twisted_client",
        "client",
        distribution="twisted",
        minimum="22.10",
        entries=("twisted.web.client:_AgentBase._requestWithEndpoint",),
        note="twisted.web.client; treq over it",
    ),
    Library(
        "httpx2",
        "client",
        minimum="2.0",
        entries=(
            "httpx2._client:Client._send_single_request",
            "httpx2._client:AsyncClient._send_single_request",
        ),
    ),
    Library(
        "curl_cffi",
        "client",
        minimum="0.7",
        entries=(
            "curl_cffi.requests.session:set_curl_options?",
            "curl_cffi.requests.session:BaseSession._set_curl_options?",
        ),
        note="sessions; redirects that libcurl follows are one request",
    ),
    Library(
        "aiosonic",
        "client",
        minimum="0.21",
        entries=("aiosonic:HTTPClient.request", "aiosonic.client:HTTPClient.request"),
    ),
    Library(
        "primp",
        "client",
        minimum="0.8",
        entries=tuple(
            f"primp:{owner}{function}?"
            for owner in ("", "Client.", "AsyncClient.")
            for function in ("request", "get", "head", "options", "delete", "post", "put", "patch")
        ),
        note="redirects that it follows are one request; nobody is told when a response of Rust's is dropped, so the "
        "span of one that is neither read nor closed is sent late, with the time of its last use",
    ),
    Library(
        "pyqwest",
        "client",
        minimum="0.5",
        untouched=TRACES_ITSELF,
        note="traces itself, with a tracer of ours: redacted, excluded; no headers, and a stream ends with its head; "
        "redirects that it follows are one request",
    ),
    Library(
        "httpr",
        "client",
        minimum="0.2.2",
        entries=("httpr:RClient.request", "httpr:RClient._stream", "httpr:AsyncClient._run_sync_asyncio"),
        note="redirects that it follows are one request",
    ),
    Library(
        "flask",
        "server",
        minimum="2.2",
        entries=("flask.app:Flask.__init__",),
    ),
    Library(
        "fastapi",
        "server",
        minimum="0.100",
        entries=("fastapi.applications:FastAPI.__init__",),
    ),
    Library(
        "starlette",
        "server",
        minimum="0.27",
        entries=("starlette.applications:Starlette.__init__", "starlette.routing:Route.handle"),
    ),
    Library(
        "django",
        "server",
        minimum="4.2",
        entries=(
            "django.core.handlers.base:BaseHandler.load_middleware",
            "django.core.handlers.wsgi:WSGIHandler.__call__",
            "django.core.handlers.asgi:ASGIHandler.__call__",
            "django.test.client:ClientHandler.__call__",
            "django.test.client:AsyncClientHandler.__call__",
        ),
        note="WSGI and ASGI",
    ),
    Library(
        "uvicorn",
        "server",
        minimum="0.23",
        entries=("uvicorn.config:Config.load",),
        note="any ASGI application",
    ),
    Library(
        "aiohttp-server",
        "server",
        distribution="aiohttp",
        minimum="3.8",
        entries=("aiohttp.web_protocol:RequestHandler._handle_request",),
        note="aiohttp.web",
    ),
    Library(
        "tornado",
        "server",
        minimum="6.2",
        instrumentor="tornado_server",
        entries=("tornado.web:Application.__init__", "tornado.wsgi:WSGIContainer.__init__"),
        note="tornado.web and WSGIContainer",
    ),
    Library(
        "bottle",
        "server",
        minimum="0.12",
        entries=("bottle:Bottle.wsgi",),
    ),
    Library(
        "quart",
        "server",
        minimum="0.19",
        entries=("quart.app:Quart.__init__",),
    ),
    Library(
        "sanic",
        "server",
        minimum="22.12",
        entries=("sanic.app:Sanic.__init__",),
    ),
    Library(
        "litestar",
        "server",
        minimum="2.13",
        entries=("litestar.app:Litestar.__init__",),
    ),
    Library(
        "pyramid",
        "server",
        minimum="2.0",
        entries=("pyramid.router:Router.__call__",),
    ),
    Library(
        "falcon",
        "server",
        minimum="3.1",
        entries=("falcon.app:App.__init__", "falcon.asgi.app:App.__init__"),
        note="WSGI and ASGI",
    ),
    Library(
        "cherrypy",
        "server",
        minimum="18.8",
        entries=("cherrypy._cptree:Application.__call__",),
    ),
    Library(
        "cheroot",
        "server",
        minimum="9.0",
        entries=("cheroot.wsgi:Server.__init__",),
        note="any WSGI application",
    ),
    Library(
        "blacksheep",
        "server",
        minimum="2.0",
        entries=("blacksheep.server.application:Application.__init__",),
    ),
    Library(
        "twisted",
        "server",
        minimum="22.10",
        instrumentor="twisted_server",
        entries=("twisted.web.server:Request.process", "twisted.web.wsgi:_WSGIResponse.__init__"),
        note="twisted.web; resources have no route template",
    ),
    Library(
        "http_server",
        "server",
        entries=("http.server:BaseHTTPRequestHandler.handle_one_request",),
        note="http.server; not python -m http.server, which is no module that is imported",
    ),
    Library(
        "gunicorn",
        "server",
        minimum="20.1",
        entries=("gunicorn.workers.base:Worker.load_wsgi", "gunicorn.workers.gasgi:ASGIWorker.load_wsgi"),
        note="any WSGI application; any ASGI one under its own ASGI worker",
    ),
    Library(
        "waitress",
        "server",
        minimum="2.1",
        entries=("waitress.server:BaseWSGIServer.__init__",),
        note="any WSGI application",
    ),
    Library(
        "hypercorn",
        "server",
        minimum="0.16",
        entries=("hypercorn.app_wrappers:ASGIWrapper.__init__", "hypercorn.app_wrappers:WSGIWrapper.__init__"),
        note="any ASGI or WSGI application",
    ),
    Library(
        "daphne",
        "server",
        minimum="4.0",
        entries=("daphne.server:Server.__init__",),
        note="any ASGI application",
    ),
    Library(
        "granian",
        "server",
        minimum="1.6",
        entries=("granian.asgi:_callback_wrapper", "granian.wsgi:_callback_wrapper"),
        note="any ASGI or WSGI application; not RSGI",
    ),
    Library(
        "werkzeug",
        "server",
        minimum="2.2",
        entries=("werkzeug.serving:BaseWSGIServer.__init__",),
        note="its development server, any WSGI application",
    ),
    Library(
        "wsgiref",
        "server",
        entries=("wsgiref.handlers:BaseHandler.run",),
        note="any WSGI application",
    ),
    Library(
        "gevent",
        "server",
        minimum="22.10",
        instrumentor="gevent_server",
        entries=("gevent.pywsgi:WSGIServer.__init__",),
        note="gevent.pywsgi, any WSGI application",
    ),
    Library(
        "eventlet",
        "server",
        minimum="0.33",
        instrumentor="eventlet_server",
        entries=("eventlet.wsgi:Server.__init__",),
        note="eventlet.wsgi, any WSGI application",
    ),
    Library(
        "uwsgi",
        "server",
        minimum="2.0",
        note="an application of a traced framework; a bare WSGI callable has no span",
        untouched="it calls applications from C",
    ),
    Library(
        "grpc_client",
        "client",
        distribution="grpcio",
        minimum="1.59",
        entries=("grpc._channel:Channel.__init__",),
    ),
    Library(
        "grpc_server",
        "server",
        distribution="grpcio",
        minimum="1.59",
        entries=("grpc._server:_Server.__init__",),
    ),
    Library(
        "grpc_aio_client",
        "client",
        distribution="grpcio",
        minimum="1.59",
        entries=("grpc.aio._channel:Channel.__init__",),
    ),
    Library(
        "grpc_aio_server",
        "server",
        distribution="grpcio",
        minimum="1.59",
        entries=("grpc.aio._server:Server.__init__",),
    ),
    Library(
        "grpclib_client",
        "client",
        distribution="grpclib",
        minimum="0.4.5",
        entries=("grpclib.client:Channel.request",),
        note="betterproto too",
    ),
    Library(
        "grpclib_server",
        "server",
        distribution="grpclib",
        minimum="0.4.5",
        entries=("grpclib.server:Server.__init__",),
        note="betterproto too",
    ),
    Library(
        "connect_client",
        "client",
        distribution="connectrpc",
        minimum="0.5",
        entries=(
            "connectrpc._client_sync:ConnectClientSync.__init__",
            "connectrpc._client_async:ConnectClient.__init__",
        ),
        note="connect-python too",
    ),
    Library(
        "connect_server",
        "server",
        distribution="connectrpc",
        minimum="0.5",
        entries=(
            "connectrpc._server_sync:ConnectWSGIApplication.__init__",
            "connectrpc._server_async:ConnectASGIApplication.__init__",
        ),
        note="connect-python too; any WSGI or ASGI server",
    ),
)


def by_name(name: str) -> Library | None:
    """The library of that name, or none."""
    return next((library for library in CATALOG if library.name == name), None)
