"""dictConfig, which disables the loggers that exist, leaves the program's as plain."""
# $ python PROGRAM before
# $ python PROGRAM after
# mask: 127.0.0.1:\d+
# spans: 2

import logging
import logging.config
import os
import sys

import requests

app = logging.getLogger("app")
if sys.argv[1] == "after":
    requests.get(os.environ["WEB"])
logging.config.dictConfig(
    {
        "version": 1,
        "formatters": {"f": {"format": "%(name)s|%(levelname)s|%(message)s"}},
        "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f", "stream": "ext://sys.stdout"}},
        "root": {"level": "DEBUG", "handlers": ["h"]},
        "loggers": {"late": {"level": "INFO"}},
    }
)
app.warning("disabled: %s", app.disabled)
logging.getLogger("late").info("late")
requests.get(os.environ["WEB"])
if sys.argv[1] == "before":
    requests.get(os.environ["WEB"])
logging.getLogger("end").debug("end")
