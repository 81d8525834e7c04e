"""Handlers, filters and factories of the program's own see its records and no others."""
# $ python PROGRAM
# mask: 127.0.0.1:\d+
# spans: 1

import logging
import logging.handlers
import os
import queue
import threading

import requests

records = queue.Queue()


class Record(logging.LogRecord):
    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        Record.made += 1


logging.setLogRecordFactory(Record)
logging.root.addHandler(logging.handlers.QueueHandler(records))
logging.root.setLevel(1)
logging.addLevelName(5, "TRACE")
requests.get(os.environ["WEB"])
logging.log(5, "mine")
print(Record.made, [(r.name, r.levelname, r.getMessage(), r.threadName, r.processName) for r in records.queue])
print([thread.name for thread in threading.enumerate()])
