"""The one table of libraries: what is traced, from which version on, and where it is hooked.

Adding a library is one record here and one instrumentor module beside it; the agent,
``--list-instrumentations``, the documentation and the tests all read this table.
"""

from __future__ import annotations


class Library:
    """One library that is traced.

    Attributes:
        name: The instrumentation's name in ``--only`` and ``--disable``; upstream's, where upstream has one.
        distribution: The name of the library's distribution on PyPI; empty where it is Python's own.
        minimum: The oldest version that is traced (and tested).
        below: The first version that is not traced any more; empty where none is known.
        instrumentor: The module of this package that patches the library.
        entries: Where the library is entered, as ``module:Class.method``. Until the first call of one of
            them nothing but a trampoline stands there; that call loads the instrumentor and the SDK.
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
        self.distribution = distribution
        self.minimum = minimum
        self.below = below
        self.instrumentor = instrumentor
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
        instrumentor="urllib3_future",
        entries=(
            "urllib3_future.connectionpool:HTTPConnectionPool.urlopen",
            "urllib3_future._async.connectionpool:AsyncHTTPConnectionPool.urlopen",
        ),
        note="niquests over it",
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
        "urllib",
        "client",
        instrumentor="urllib",
        entries=("urllib.request:AbstractHTTPHandler.do_open",),
        note="urllib.request",
    ),
    Library(
        "http_client",
        "client",
        instrumentor="http_client",
        entries=("http.client:HTTPConnection.endheaders",),
        note="http.client, where no library above it is traced",
    ),
    Library(
        "aiohttp-client",
        "client",
        distribution="aiohttp",
        minimum="3.8.3",
        instrumentor="aiohttp_client",
        entries=("aiohttp.connector:BaseConnector.connect",),
    ),
    Library(
        "httplib2",
        "client",
        distribution="httplib2",
        minimum="0.20",
        instrumentor="httplib2",
        entries=("httplib2:Http._conn_request",),
    ),
    Library(
        "tornado_client",
        "client",
        distribution="tornado",
        minimum="6.3",
        instrumentor="tornado_client",
        entries=(
            "tornado.simple_httpclient:SimpleAsyncHTTPClient.fetch_impl",
            "tornado.curl_httpclient:CurlAsyncHTTPClient.fetch_impl",
        ),
        note="the simple and the curl client; redirects that libcurl follows are one request",
    ),
    Library(
        "pycurl",
        "client",
        distribution="pycurl",
        minimum="7.45.3",
        instrumentor="pycurl",
        entries=("pycurl:Curl.setopt", "pycurl:CurlMulti.add_handle"),
        opened=("pycurl:Curl", "pycurl:CurlMulti"),
        note="single and multi; redirects that libcurl follows are one request",
    ),
    Library(
        "twisted_client",
        "client",
        distribution="twisted",
        minimum="22.10",
        instrumentor="twisted_client",
        entries=("twisted.web.client:_AgentBase._requestWithEndpoint",),
        note="twisted.web.client; treq over it",
    ),
    Library(
        "httpx2",
        "client",
        distribution="httpx2",
        minimum="2.0",
        instrumentor="httpx2",
        entries=(
            "httpx2._client:Client._send_single_request",
            "httpx2._client:AsyncClient._send_single_request",
        ),
    ),
    Library(
        "curl_cffi",
        "client",
        distribution="curl_cffi",
        minimum="0.7",
        instrumentor="curl_cffi",
        entries=(
            "curl_cffi.requests.session:set_curl_options?",
            "curl_cffi.requests.session:BaseSession._set_curl_options?",
        ),
        note="sessions; redirects that libcurl follows are one request",
    ),
    Library(
        "aiosonic",
        "client",
        distribution="aiosonic",
        minimum="0.21",
        instrumentor="aiosonic",
        entries=("aiosonic:HTTPClient.request", "aiosonic.client:HTTPClient.request"),
    ),
    Library(
        "primp",
        "client",
        distribution="primp",
        minimum="0.8",
        instrumentor="primp",
        entries=tuple(
            f"primp:{owner}{function}?"
            for owner in ("", "Client.", "AsyncClient.")
            for function in ("request", "get", "head", "options", "delete", "post", "put", "patch")
        ),
        note="redirects that it follows are one request",
    ),
    Library(
        "pyqwest",
        "client",
        distribution="pyqwest",
        minimum="0.5",
        untouched=TRACES_ITSELF,
    ),
    Library(
        "httpr",
        "client",
        distribution="httpr",
        minimum="0.2.2",
        instrumentor="httpr",
        entries=("httpr:RClient.request", "httpr:RClient._stream", "httpr:AsyncClient._run_sync_asyncio"),
        note="redirects that it follows are one request",
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
        entries=("starlette.applications:Starlette.__init__", "starlette.routing:Route.handle"),
    ),
    Library(
        "django",
        "server",
        distribution="django",
        minimum="4.2",
        instrumentor="django",
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
        distribution="uvicorn",
        minimum="0.23",
        instrumentor="uvicorn",
        entries=("uvicorn.config:Config.load",),
        note="any ASGI application",
    ),
    Library(
        "aiohttp-server",
        "server",
        distribution="aiohttp",
        minimum="3.8",
        instrumentor="aiohttp_server",
        entries=("aiohttp.web_protocol:RequestHandler._handle_request",),
        note="aiohttp.web",
    ),
    Library(
        "tornado",
        "server",
        distribution="tornado",
        minimum="6.2",
        instrumentor="tornado_server",
        entries=("tornado.web:Application.__init__", "tornado.wsgi:WSGIContainer.__init__"),
        note="tornado.web and WSGIContainer",
    ),
    Library(
        "bottle",
        "server",
        distribution="bottle",
        minimum="0.12",
        instrumentor="bottle",
        entries=("bottle:Bottle.wsgi",),
    ),
    Library(
        "quart",
        "server",
        distribution="quart",
        minimum="0.19",
        instrumentor="quart",
        entries=("quart.app:Quart.__init__",),
    ),
    Library(
        "sanic",
        "server",
        distribution="sanic",
        minimum="22.12",
        instrumentor="sanic",
        entries=("sanic.app:Sanic.__init__",),
    ),
    Library(
        "litestar",
        "server",
        distribution="litestar",
        minimum="2.13",
        instrumentor="litestar",
        entries=("litestar.app:Litestar.__init__",),
    ),
    Library(
        "pyramid",
        "server",
        distribution="pyramid",
        minimum="2.0",
        instrumentor="pyramid",
        entries=("pyramid.router:Router.__call__",),
    ),
    Library(
        "falcon",
        "server",
        distribution="falcon",
        minimum="3.1",
        instrumentor="falcon",
        entries=("falcon.app:App.__init__", "falcon.asgi.app:App.__init__"),
        note="WSGI and ASGI",
    ),
    Library(
        "cherrypy",
        "server",
        distribution="cherrypy",
        minimum="18.8",
        instrumentor="cherrypy",
        entries=("cherrypy._cptree:Application.__call__",),
    ),
    Library(
        "cheroot",
        "server",
        distribution="cheroot",
        minimum="9.0",
        instrumentor="cheroot",
        entries=("cheroot.wsgi:Server.__init__",),
        note="any WSGI application",
    ),
    Library(
        "blacksheep",
        "server",
        distribution="blacksheep",
        minimum="2.0",
        instrumentor="blacksheep",
        entries=("blacksheep.server.application:Application.__init__",),
    ),
    Library(
        "twisted",
        "server",
        distribution="twisted",
        minimum="22.10",
        instrumentor="twisted_server",
        entries=("twisted.web.server:Request.process", "twisted.web.wsgi:_WSGIResponse.__init__"),
        note="twisted.web; resources have no route template",
    ),
    Library(
        "http_server",
        "server",
        instrumentor="http_server",
        entries=("http.server:BaseHTTPRequestHandler.handle_one_request",),
        note="http.server; not python -m http.server, which is no module that is imported",
    ),
    Library(
        "gunicorn",
        "server",
        distribution="gunicorn",
        minimum="20.1",
        instrumentor="gunicorn",
        entries=("gunicorn.workers.base:Worker.load_wsgi", "gunicorn.workers.gasgi:ASGIWorker.load_wsgi"),
        note="any WSGI application; any ASGI one under its own ASGI worker",
    ),
    Library(
        "waitress",
        "server",
        distribution="waitress",
        minimum="2.1",
        instrumentor="waitress",
        entries=("waitress.server:BaseWSGIServer.__init__",),
        note="any WSGI application",
    ),
    Library(
        "hypercorn",
        "server",
        distribution="hypercorn",
        minimum="0.16",
        instrumentor="hypercorn",
        entries=("hypercorn.app_wrappers:ASGIWrapper.__init__", "hypercorn.app_wrappers:WSGIWrapper.__init__"),
        note="any ASGI or WSGI application",
    ),
    Library(
        "daphne",
        "server",
        distribution="daphne",
        minimum="4.0",
        instrumentor="daphne",
        entries=("daphne.server:Server.__init__",),
        note="any ASGI application",
    ),
    Library(
        "granian",
        "server",
        distribution="granian",
        minimum="1.6",
        instrumentor="granian",
        entries=("granian.asgi:_callback_wrapper", "granian.wsgi:_callback_wrapper"),
        note="any ASGI or WSGI application; not RSGI",
    ),
    Library(
        "werkzeug",
        "server",
        distribution="werkzeug",
        minimum="2.2",
        instrumentor="werkzeug",
        entries=("werkzeug.serving:BaseWSGIServer.__init__",),
        note="its development server, any WSGI application",
    ),
    Library(
        "wsgiref",
        "server",
        instrumentor="wsgiref",
        entries=("wsgiref.handlers:BaseHandler.run",),
        note="any WSGI application",
    ),
    Library(
        "gevent",
        "server",
        distribution="gevent",
        minimum="22.10",
        instrumentor="gevent_server",
        entries=("gevent.pywsgi:WSGIServer.__init__",),
        note="gevent.pywsgi, any WSGI application",
    ),
    Library(
        "eventlet",
        "server",
        distribution="eventlet",
        minimum="0.33",
        instrumentor="eventlet_server",
        entries=("eventlet.wsgi:Server.__init__",),
        note="eventlet.wsgi, any WSGI application",
    ),
    Library(
        "uwsgi",
        "server",
        distribution="uwsgi",
        minimum="2.0",
        note="an application of a traced framework; a bare WSGI callable has no span",
        untouched="it calls applications from C",
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
    Library(
        "grpclib_client",
        "client",
        distribution="grpclib",
        minimum="0.4.5",
        instrumentor="grpclib_client",
        entries=("grpclib.client:Channel.request",),
        note="betterproto too",
    ),
    Library(
        "grpclib_server",
        "server",
        distribution="grpclib",
        minimum="0.4.5",
        instrumentor="grpclib_server",
        entries=("grpclib.server:Server.__init__",),
        note="betterproto too",
    ),
    Library(
        "connect_client",
        "client",
        distribution="connectrpc",
        minimum="0.5",
        instrumentor="connect_client",
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
        instrumentor="connect_server",
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
