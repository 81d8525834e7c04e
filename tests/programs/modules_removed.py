"""Modules that are removed and imported again, or reloaded, work as plain and stay traced."""
# $ python PROGRAM
# spans: 7

import importlib
import os
import sys

import requests

WEB = os.environ["WEB"]
print(requests.get(WEB).text)
importlib.reload(requests)
print(requests.get(WEB).text)
importlib.reload(requests.adapters)
importlib.reload(requests.sessions)
importlib.reload(requests.api)
print(requests.get(WEB).text)
old = requests
for name in [name for name in sys.modules if name.partition(".")[0] in ("requests", "urllib3")]:
    del sys.modules[name]
import requests

print(requests is old, requests.get(WEB).text)
print(old.get(WEB).text)
for name in [name for name in sys.modules if name.partition(".")[0] == "urllib3"]:
    del sys.modules[name]
import urllib3

print(urllib3.PoolManager().request("GET", WEB).status)
import httpx

print(importlib.reload(httpx) is httpx, httpx.get(WEB).text)
