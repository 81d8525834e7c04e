"""What being traced costs: tracerun beside bare Python and its peers. ``python -m benchmarks --help``."""
