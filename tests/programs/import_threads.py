"""Imports and first calls from many threads at once do not wait for each other."""
# $ python PROGRAM
# spans: 24

import os
import threading

results = []


def work(n):
    if n % 3 == 0:
        import requests

        results.append(requests.get(os.environ["WEB"]).text)
    elif n % 3 == 1:
        import httpx

        results.append(httpx.get(os.environ["WEB"]).text)
    else:
        import urllib3

        results.append(urllib3.PoolManager().request("GET", os.environ["WEB"]).data.decode())


threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(results), set(results))
