"""An eventlet program that patches on its first line calls over http and https, without a warning."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB TRACERUN python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB_TLS OTEL_EXPORTER_OTLP_CERTIFICATE=$WEB_CA TRACERUN python PROGRAM
# $ python -W ignore PROGRAM
# spans: 12

import eventlet

eventlet.monkey_patch()

import os
import socket
import threading
import time

import requests
import urllib3

WEB, TLS, CA = os.environ["WEB"], os.environ["WEB_TLS"], os.environ["WEB_CA"]
print(socket.socket.__module__, time.sleep.__module__, threading.active_count())


def get(url):
    return requests.get(url, verify=CA).text


pool = eventlet.GreenPool()
print(list(pool.imap(get, (WEB, TLS) * 5)))
http = urllib3.PoolManager(ca_certs=CA)
print(http.request("GET", TLS).status, http.request("GET", WEB).status)
print(len(threading.enumerate()))
