"""tracerun: run any Python program unchanged and see how each request travelled."""

__version__ = "0.1.0"
