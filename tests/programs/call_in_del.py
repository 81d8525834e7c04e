"""A call made in __del__ at shutdown fails or succeeds as plain."""
# $ python PROGRAM
# $ python PROGRAM early

import os
import sys

import requests


class Last:
    def __del__(self):
        try:
            print(requests.get(WEB).status_code)
        except BaseException as error:
            print(type(error).__name__)


WEB = os.environ["WEB"]
if len(sys.argv) > 1:
    requests.get(WEB)
kept = Last()
