"""basicConfig does its work as plain: before a call, after it, and again with force."""
# $ python PROGRAM before
# $ python PROGRAM after
# $ python PROGRAM force
# mask: 127.0.0.1:\d+
# spans: 2

import logging
import os
import sys

import requests

if sys.argv[1] == "before":
    logging.basicConfig(level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
requests.get(os.environ["WEB"])
if sys.argv[1] == "after":
    logging.basicConfig(level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
if sys.argv[1] == "force":
    logging.basicConfig(level=logging.WARNING)
    logging.basicConfig(level=logging.DEBUG, force=True, stream=sys.stdout, format="%(name)s %(lineno)d %(message)s")
logging.info("configured")
logging.getLogger("app").debug("debug")
requests.get(os.environ["WEB"])
logging.warning("end")
print([(type(handler).__name__, handler.level) for handler in logging.root.handlers], logging.root.level)
