"""The tests: real programs, plain and traced, against real receivers on loopback."""
