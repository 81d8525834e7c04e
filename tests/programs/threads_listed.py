"""threading lists the program's threads and no others, also while spans are exported."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB TRACERUN python PROGRAM

import os
import sys
import threading
import time

import requests

requests.get(os.environ["WEB"])
time.sleep(1.5)
print(
    threading.enumerate()[0] is threading.main_thread(),
    threading.active_count(),
    threading.get_ident() in sys._current_frames(),
)
worker = threading.Thread(target=lambda: print(requests.get(os.environ["WEB"]).text), name="worker")
worker.start()
worker.join()
print([thread.name for thread in threading.enumerate()], worker.is_alive())
print(threading.Thread().name, threading.excepthook)
