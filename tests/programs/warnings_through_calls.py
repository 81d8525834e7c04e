"""Warnings with every stacklevel name the line of the program that they name plain, through each traced library."""
# fast
# $ python -W always PROGRAM
# $ python -W error PROGRAM
# $ python -X dev PROGRAM
# spans: 16

import os
import warnings

import httpx
import requests
from requests.adapters import HTTPAdapter

WEB = os.environ["WEB"]


def warn(level):
    try:
        warnings.warn(f"level {level}", UserWarning, stacklevel=level)
    except UserWarning as warning:
        print("raised", warning)


class Warns(HTTPAdapter):
    def send(self, request, **kwargs):
        warn(self.level)
        return super().send(request, **kwargs)

    def build_response(self, request, response):
        warn(self.level)
        return super().build_response(request, response)


def hook(level):
    def warns(*args):
        warn(level)

    return warns


for level in range(1, 9):
    session = requests.Session()
    adapter = Warns()
    adapter.level = level
    session.mount("http://", adapter)
    session.get(WEB)

for level in range(1, 9):

    class Transport(httpx.HTTPTransport):
        def handle_request(self, request):
            warn(level)
            return super().handle_request(request)

    with httpx.Client(transport=Transport(), event_hooks={"response": [hook(level)]}) as client:
        client.get(WEB)
