"""A program that replaces, closes or redirects stderr finds nothing of ours where it put it."""
# $ sh -c 'TRACERUN python PROGRAM replace; cat data'
# $ sh -c 'TRACERUN python PROGRAM close; cat data'
# $ sh -c 'TRACERUN python PROGRAM close-descriptor; cat data'
# $ sh -c 'TRACERUN python PROGRAM close-all; cat data'
# $ sh -c 'TRACERUN python PROGRAM redirect; cat data'
# $ sh -c 'TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM close-descriptor; cat data'
# $ sh -c 'TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM close; cat data'
# $ sh -c 'TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM redirect; cat data'
# $ sh -c 'TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM replace; cat data'
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


if how == "replace":
    atexit.register(lambda: print(repr(sys.stderr.getvalue())))
elif how == "close-all":
    os._exit(0)
