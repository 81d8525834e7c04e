"""With freezegun time stands still for the program, its calls and its loggers; spans arrive all the same."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 TRACERUN python PROGRAM
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=$SILENT TRACERUN_EXIT_TIMEOUT=1 TRACERUN python PROGRAM
# says: lost
# says: sent to
# says: sent without an answer

import datetime
import logging
import os
import time

import freezegun
import requests

logging.basicConfig(format="%(asctime)s %(message)s")
freezer = freezegun.freeze_time("2012-01-14 03:21:34")
freezer.start()
requests.get(os.environ["WEB"])
print(datetime.datetime.now(), time.time(), time.gmtime(), time.monotonic(), datetime.date.today())
logging.warning("frozen")
with freezegun.freeze_time("2000-01-01", tick=False) as inner:
    inner.tick(60)
    requests.get(os.environ["WEB"])
    print(datetime.datetime.now())
requests.get(os.environ["WEB"])
print(time.time(), type(time.time).__name__)
