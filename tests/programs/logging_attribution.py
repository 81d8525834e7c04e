"""Log records that name their caller's caller name the line that they name plain."""
# $ python PROGRAM
# mask: :\d+ "GET|127.0.0.1:\d+
# spans: 8

import logging
import os

import requests
from requests.adapters import HTTPAdapter

logging.basicConfig(format="%(levelname)s %(filename)s:%(lineno)d %(funcName)s %(threadName)s %(message)s", level=10)


class Adapter(HTTPAdapter):
    level = 1

    def build_response(self, *args):
        logging.getLogger("app").warning("stacklevel %s", self.level, stacklevel=self.level)
        return super().build_response(*args)


session = requests.Session()
session.mount("http://", Adapter())
for Adapter.level in range(1, 9):
    session.get(os.environ["WEB"])
