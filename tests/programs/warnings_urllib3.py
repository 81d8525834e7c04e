"""Warnings of urllib3 and of its connections name the program's line, as plain."""
# $ python PROGRAM
# $ python -W always PROGRAM
# $ python -W error PROGRAM
# $ python -W once PROGRAM

import os
import warnings

import requests
import urllib3

TLS = os.environ["WEB_TLS"]
for _ in range(3):
    try:
        print(requests.get(TLS, verify=False).status_code)
    except urllib3.exceptions.InsecureRequestWarning as warning:
        print("raised", type(warning).__name__)

pool = urllib3.PoolManager(cert_reqs="CERT_NONE")
for _ in range(3):
    try:
        print(pool.request("GET", TLS).status)
    except urllib3.exceptions.InsecureRequestWarning as warning:
        print("raised", type(warning).__name__)


class Connection(urllib3.connection.HTTPConnection):
    level = 1

    def request(self, *args, **kwargs):
        warnings.warn(f"deprecated {self.level}", DeprecationWarning, stacklevel=self.level)
        return super().request(*args, **kwargs)


urllib3.HTTPConnectionPool.ConnectionCls = Connection
for Connection.level in range(1, 9):
    with urllib3.PoolManager(retries=False) as pool:
        try:
            print(pool.request("GET", os.environ["WEB"]).status)
        except DeprecationWarning as warning:
            print("raised", warning)
