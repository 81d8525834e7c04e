"""unittest.mock patches traced functions and undoes it as plain, with specs and side effects."""
# $ python PROGRAM
# $ python PROGRAM called
# mask: id=.\d+.

import os
import sys
from unittest import mock

import httpx
import requests

WEB = os.environ["WEB"]
if len(sys.argv) > 1:
    requests.get(WEB)
before = requests.adapters.HTTPAdapter.send
with mock.patch("requests.adapters.HTTPAdapter.send", autospec=True) as send:
    send.side_effect = OSError("mocked")
    try:
        requests.get(WEB)
    except OSError as error:
        print(error, send.call_count)
    try:
        requests.adapters.HTTPAdapter().send()
    except TypeError as error:
        print(error)
print(requests.adapters.HTTPAdapter.send is before, requests.get(WEB).text)
with mock.patch.object(requests.Session, "send", return_value="sent"):
    print(requests.get(WEB))
spec = mock.create_autospec(requests.adapters.HTTPAdapter)
print(isinstance(spec, type(requests.adapters.HTTPAdapter)), spec.send)
client = mock.create_autospec(httpx.AsyncClient)
print(type(client._send_single_request).__name__, type(client.get).__name__)
with mock.patch("httpx.Client._send_single_request", side_effect=KeyError("x")):
    try:
        httpx.get(WEB)
    except KeyError as error:
        print(repr(error))
print(httpx.get(WEB).text)
with mock.patch.dict("sys.modules", {"requests": None}):
    try:
        import requests as again
    except ImportError as error:
        print(error)
import requests as again

print(again.get(WEB).text)
