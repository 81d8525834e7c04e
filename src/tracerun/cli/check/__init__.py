"""``tracerun --check``: would a trace arrive, and where not, what to set."""
