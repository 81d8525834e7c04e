"""The first line logged after a call, without any configuration, is that of plain logging."""
# $ python PROGRAM
# spans: 1

import logging
import os

import requests

requests.get(os.environ["WEB"])
logging.getLogger("app.module").warning("shown by the last resort")
print(logging.root.handlers, logging.root.hasHandlers())
