"""Requests to a Flask application, in process; with many routes, threads or spans of its own; or under a server."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from flask import Flask
from opentelemetry import trace

from benchmarks.workers.timing import Worker, in_threads, measured, plan_of, report
from benchmarks.workers.wsgi_calls import caller

if TYPE_CHECKING:
    from collections.abc import Callable

app = Flask(__name__)


@app.route("/hello")
def hello() -> str:
    """What is asked for."""
    return "hello"


@app.route("/spans/<int:count>")
def spans(count: int) -> str:
    """A request that does its work in so many steps, each a span of the program's own."""
    tracer = trace.get_tracer("program")
    for _ in range(count):
        with tracer.start_as_current_span("step", attributes={"step.kind": "work", "step.size": 17}):
            pass
    return "done"


def with_routes(count: int) -> Callable[[], object]:
    """What makes requests to so many routes, in turn."""
    many = Flask("many")
    for number in range(count):
        many.add_url_rule(f"/route{number}/<name>", f"route{number}", lambda name: name)
    turns = itertools.cycle([caller(many, f"/route{number}/ada") for number in range(count)])
    return lambda: next(turns)()  # noqa: PLW0108 - another one each time


def main() -> None:
    """Measures what the command line names."""
    worker = Worker(__doc__)
    worker.add_argument("--routes", type=int, nargs="*", default=())
    worker.add_argument("--threads", type=int, nargs="*", default=())
    worker.add_argument("--spans", type=int, nargs="*", default=())
    worker.add_argument("--once", action="store_true", help="one request, and no figures")
    options = worker.parse_args()
    if options.once:
        caller(app)()
        return
    plan = plan_of(options)
    figures: dict[str, float] = {}
    for count in options.routes:
        figures |= measured(in_threads(with_routes(count), 1), plan, f"@{count}")
    for count in options.threads:
        figures |= measured(in_threads(caller(app), count), plan, f"@{count}")
    for count in options.spans:
        figures |= measured(in_threads(caller(app, f"/spans/{count}"), 1), plan, f"@{count}")
    report(figures or measured(in_threads(caller(app), 1), plan))


if __name__ == "__main__":
    main()
