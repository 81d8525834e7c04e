"""A gevent program that patches on its first line calls over http and https, without a warning."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB TRACERUN python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB_TLS OTEL_EXPORTER_OTLP_CERTIFICATE=$WEB_CA TRACERUN python PROGRAM
# $ python -X dev PROGRAM
# $ python -W error PROGRAM
# spans: 12

from gevent import monkey

monkey.patch_all()

import os
import socket
import ssl
import threading
import time

import gevent
import requests
import urllib3

WEB, TLS, CA = os.environ["WEB"], os.environ["WEB_TLS"], os.environ["WEB_CA"]
print(socket.socket.__module__, ssl.SSLContext.__module__, time.sleep.__module__, threading.active_count())


def get(url):
    return requests.get(url, verify=CA).text


jobs = [gevent.spawn(get, url) for url in (WEB, TLS) * 5]
gevent.joinall(jobs)
print([job.value for job in jobs])
pool = urllib3.PoolManager(ca_certs=CA)
print(pool.request("GET", TLS).status, pool.request("GET", WEB).status)
print(type(gevent.get_hub()).__name__, len(threading.enumerate()))
