"""Deep recursion meets its limit, calls near it succeed or fail cleanly, and the program goes on as plain."""
# $ python PROGRAM first
# $ python PROGRAM later
# says: RecursionError

import os
import sys

import requests

WEB = os.environ["WEB"]
if sys.argv[1] == "later":
    requests.get(WEB)
depth = 0


def down(left):
    if left:
        return down(left - 1)
    return requests.get(WEB).text


def endless():
    endless()


print(down(700))
results = set()
for level in range(900, 990, 3):
    try:
        results.add(down(level))
    except RecursionError:
        results.add("too deep")
    except Exception as error:
        if "recursion" not in str(error):
            results.add(type(error).__name__)
print(sorted(results))
try:
    endless()
except RecursionError as error:
    print(error)
print(requests.get(WEB).text, sys.getrecursionlimit())
