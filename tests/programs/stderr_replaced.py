"""A program that replaces, closes or redirects stderr finds nothing of ours where it put it."""
# $ python PROGRAM replace
# $ python PROGRAM close
# $ python PROGRAM close-descriptor
# $ python PROGRAM close-all
# $ python PROGRAM redirect
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM close-descriptor
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM close
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM redirect
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM replace
# says: 127.0.0.1:9
# says: lost

import atexit
import io
import os
import sys
import time

import requests

how = sys.argv[1]
if how == "replace":
    sys.stderr = io.StringIO()
elif how == "close":
    sys.stderr.close()
elif how == "close-descriptor":
    os.close(2)
elif how == "close-all":
    os.closerange(0, 3)
elif how == "redirect":
    log = os.open("log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 2)
# Where descriptor 2 was closed this file gets its number.
data = open("data", "w+b", buffering=0)
data.write(b"first ")
requests.get(os.environ["WEB"])
time.sleep(1.5)
data.write(b"last")


def show():
    with open("data", "rb") as file:
        content = file.read()
    if how == "close-all":
        raise SystemExit(len(content))
    print(content, isinstance(sys.stderr, io.StringIO) and sys.stderr.getvalue())


atexit.register(show)
