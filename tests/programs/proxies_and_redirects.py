"""Redirects, retries, hooks, authentication, streams and sessions of clients have the results that they have plain."""
# $ python PROGRAM
# mask: object at .*|127.0.0.1:\d+

import os

import httpx
import requests
import urllib3
from requests.adapters import HTTPAdapter

WEB = os.environ["WEB"]
session = requests.Session()
session.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(2, status_forcelist=[503], backoff_factor=0)))
session.headers["X-Mine"] = "1"
response = session.get(
    f"{WEB}/302", auth=("user", "pass"), hooks={"response": lambda r, **_: print("hook", r.status_code)}
)
print(response.status_code, [r.status_code for r in response.history], response.url.replace(WEB, ""))
headers = {name: value for name, value in response.request.headers.items() if name not in ("traceparent", "tracestate")}
print(headers, response.elapsed.total_seconds() < 10)
try:
    session.get(f"{WEB}/503")
except requests.exceptions.RetryError as error:
    print(type(error.args[0]).__name__)
with session.get(f"{WEB}/200/stream", stream=True) as response:
    print(list(response.iter_content(5)), response.raw.closed)
prepared = session.prepare_request(requests.Request("POST", WEB, data={"a": 1}, headers={"x": "y"}))
print(prepared.body, session.send(prepared).status_code, prepared.headers["x"])
mine = {"X-Own": "1"}
print(requests.put(WEB, headers=mine, json={"a": 1}).status_code, mine)
pool = urllib3.PoolManager(headers=mine)
print(pool.request("GET", f"{WEB}/302", redirect=True).geturl(), mine, pool.headers)
print(pool.request("POST", WEB, fields={"a": "b"}, headers=mine).status, mine)
try:
    pool.request("GET", f"{WEB}/503", retries=urllib3.Retry(2, status_forcelist=[503], backoff_factor=0))
except urllib3.exceptions.MaxRetryError as error:
    print(type(error.reason).__name__)
own = urllib3.HTTPHeaderDict()
own.add("X-Two", "1")
own.add("X-Two", "2")
print(pool.request("GET", WEB, headers=own).status, own)
with httpx.Client(follow_redirects=True, event_hooks={"request": [lambda r: print("request", r.method)]}) as client:
    response = client.get(f"{WEB}/302", auth=("user", "pass"))
    print(response.status_code, [r.status_code for r in response.history], response.http_version)
    with client.stream("GET", WEB) as response:
        print(list(response.iter_bytes(3)))
    request = client.build_request("GET", WEB, headers={"x": "y"})
    print(client.send(request).status_code, request.headers["x"])
for url in ("nothing://x", "http://", "http://127.0.0.1:99999", "http://[bad", ""):
    for get in (requests.get, httpx.get, lambda url: pool.request("GET", url, retries=False)):
        try:
            get(url)
        except Exception as error:
            print(type(error).__name__, str(error)[:60])
