"""Requests to a Django application, in process: its WSGI callable, as a server calls it.

DJANGO_SETTINGS_MODULE says which: ``benchmarks.workers.django_settings``.
"""

from __future__ import annotations

from benchmarks.workers.timing import Worker, in_threads, measured, plan_of, report
from benchmarks.workers.wsgi_calls import caller


def main() -> None:
    """Measures the application that is made as a server's module makes it."""
    from django.core.wsgi import get_wsgi_application

    plan = plan_of(Worker(__doc__).parse_args())
    report(measured(in_threads(caller(get_wsgi_application()), 1), plan))


if __name__ == "__main__":
    main()
