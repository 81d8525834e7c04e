"""What is known beforehand of other people's instrumentations, those of OpenTelemetry's contrib repository above all.

Nobody needs to stand here: a package that is not named is found by its metadata, which takes a little longer.
Loaded only where such a package is installed, or the program instruments itself.
"""

from __future__ import annotations

from tracerun import entrypoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracerun.instrumentation.catalog import Library
    from tracerun.settings import Settings

# By the name of the entry point: the module whose import the instrumentation waits for.
TRIGGERS = {
    "aio-pika": "aio_pika",
    "aiobotocore": "aiobotocore",
    "aiohttp-client": "aiohttp",
    "aiohttp-server": "aiohttp.web",
    "aiokafka": "aiokafka",
    "aiopg": "aiopg",
    "anthropic": "anthropic",
    "asyncclick": "asyncclick",
    "asyncpg": "asyncpg",
    "boto3": "boto3",
    "botocore": "botocore.client",
    "cassandra": "cassandra.cluster",
    "celery": "celery",
    "chromadb": "chromadb",
    "click": "click",
    "confluent_kafka": "confluent_kafka",
    "elasticsearch": "elasticsearch",
    "falcon": "falcon",
    "jinja2": "jinja2",
    "kafka": "kafka",
    "langchain": "langchain_core",
    "mysql": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "openai": "openai",
    "pika": "pika",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "pymssql": "pymssql",
    "pymysql": "pymysql",
    "pyramid": "pyramid.config",
    "redis": "redis",
    "remoulade": "remoulade",
    "sqlalchemy": "sqlalchemy",
    "sqlite3": "sqlite3",
    "tornado": "tornado.web",
    "tortoiseorm": "tortoise",
    "urllib": "urllib.request",
}

# These make log records and metrics, not spans; LoggingInstrumentor even puts a handler on the program's root logger.
NO_SPANS = ("exceptions", "logging", "structlog", "system_metrics")

# All that may be named without being installed beside the launcher.
NAMES = (*TRIGGERS, *NO_SPANS, "asyncio", "threading")

# The instrumentors' classes that a program may call itself, and the library of ours that stands back then. Of the
# others frameworks get our span for theirs (`lending.py`), and gRPC's are told apart call by call (`theirs.py`).
STAND_BACK = {
    "AioHttpClientInstrumentor": "aiohttp-client",
    "AioHttpServerInstrumentor": "aiohttp-server",
    "HTTPXClientInstrumentor": "httpx",
    "HTTPX2ClientInstrumentor": "httpx2",
    "RequestsInstrumentor": "requests",
    "TornadoInstrumentor": "tornado-client",
    "URLLib3Instrumentor": "urllib3",
    "URLLibInstrumentor": "urllib",
}


def has_nothing_to_give(name: str, settings: Settings) -> bool:
    """Whether an instrumentation makes no spans where nothing else is exported."""
    return name in NO_SPANS and not {*settings.metrics_exporter, *settings.logs_exporter} - {"none"}


def is_ours(found: entrypoints.Instrumentor, catalog: Sequence[Library]) -> bool:
    """Whether tracerun traces what a package instruments: by the name, or as nothing else is named by the package."""
    name = entrypoints.normalised(found.name)
    if any(name == entrypoints.normalised(library.name) for library in catalog):
        return True
    ours = {entrypoints.normalised(library.distribution) for library in catalog if library.distribution}
    libraries = entrypoints.libraries(found.folder)
    return bool(libraries) and ours.issuperset(libraries)
