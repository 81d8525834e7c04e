"""Files and sockets that get the numbers of descriptors which a program has closed over our heads stay its own."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB TRACERUN python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB_TLS OTEL_EXPORTER_OTLP_CERTIFICATE=$WEB_CA TRACERUN python PROGRAM
# spans: 4

import os
import resource
import socket
import time

import requests

held = []
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
for _ in range(2):
    requests.get(os.environ["WEB"])
    time.sleep(1.2)
    os.closerange(3, limit)
    files = [os.open(f"file{n}", os.O_RDWR | os.O_CREAT | os.O_TRUNC) for n in range(5)]
    pairs = [socket.socketpair() for _ in range(5)]
    files += [os.open(f"more{n}", os.O_RDWR | os.O_CREAT | os.O_TRUNC) for n in range(5)]
    requests.get(os.environ["WEB"])
    time.sleep(1.2)
    held.append(pairs)
    print([os.fstat(file).st_size for file in files])
    for pair in pairs:
        for one in pair:
            one.setblocking(False)
            try:
                print(one.recv(1000))
            except BlockingIOError:
                pass
