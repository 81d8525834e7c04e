"""From an ended span to its destination: queue, OTLP encoding, transports, retry, counting, span files."""
