"""With no logging configured a program's warnings appear as plain, before and after a call."""
# fast
# $ python PROGRAM
# $ python -X dev PROGRAM
# spans: 2

import logging
import os

import requests

logging.warning("before")
logging.getLogger("app").error("before %s", "args")
requests.get(os.environ["WEB"])
logging.getLogger("app").warning("between")
logging.getLogger("app").info("not shown")
requests.get(os.environ["WEB"])
logging.error("after")
print(logging.root.handlers, logging.root.level, logging.lastResort, logging.raiseExceptions)
print(logging.getLogger("app").handlers, logging.getLogger("app").isEnabledFor(logging.INFO))
print(logging.getLogRecordFactory(), logging.getLoggerClass(), logging.Logger.manager.disable)
