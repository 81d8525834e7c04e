"""A gevent program that patches after its imports and after a call warns, works and ends as plain."""
# $ python PROGRAM
# $ python PROGRAM called

import os
import sys

import flask

if len(sys.argv) > 1:
    print(flask.Flask("x").test_client().get("/").status_code)

from gevent import monkey

monkey.patch_all()
import gevent
import requests

print(
    [
        job.value
        for job in gevent.joinall([gevent.spawn(lambda: requests.get(os.environ["WEB"]).text) for _ in range(3)])
    ]
)
print(requests.get(os.environ["WEB_TLS"], verify=os.environ["WEB_CA"]).text)
