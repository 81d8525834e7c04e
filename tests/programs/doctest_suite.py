"""Doctests pass and fail as plain.

>>> requests.get(WEB).text
'body of /'
>>> requests.get(WEB).status_code
201
>>> requests.get("http://127.0.0.1:9/")
Traceback (most recent call last):
requests.exceptions.ConnectionError: ...
"""
# $ python PROGRAM
# $ python -m doctest PROGRAM => 1
# mask: Max retries.*|HTTPConnectionPool.*
# spans: 3

import doctest
import os

import requests

WEB = os.environ["WEB"]
if __name__ == "__main__":
    print(doctest.testmod(optionflags=doctest.ELLIPSIS))
