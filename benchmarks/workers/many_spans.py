"""A program that makes spans as fast as it can, and ends: how many arrive."""

from __future__ import annotations

import argparse

from opentelemetry import trace


def main() -> None:
    """Makes the spans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    tracer = trace.get_tracer("program")
    attributes: dict[str, str | int | float | bool] = {
        "item.kind": "book",
        "item.number": 17,
        "item.price": 9.5,
        "item.new": True,
    }
    for _ in range(parser.parse_args().count):
        with tracer.start_as_current_span("item", attributes=attributes):
            pass


if __name__ == "__main__":
    main()
