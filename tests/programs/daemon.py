"""A daemon by double fork, which closes all descriptors, writes to its log what it writes plain."""
# $ sh -c 'TRACERUN python PROGRAM; while ! test -e done; do sleep 0.1; done; cat log'
# $ sh -c 'TRACERUN python PROGRAM early; while ! test -e done; do sleep 0.1; done; cat log'
# spans: 4

import os
import sys
import time

import requests

if len(sys.argv) > 1:
    requests.get(os.environ["WEB"])
    time.sleep(0.5)
pid = os.fork()
if pid:
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.umask(0o27)
os.closerange(0, 256)
os.open("/dev/null", os.O_RDWR)
log = os.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.dup2(log, 2)
print(log, file=sys.stderr, flush=True)
for number in range(3 if len(sys.argv) > 1 else 4):
    print(requests.get(f"{os.environ['WEB']}/200/{number}").text, file=sys.stderr, flush=True)
    time.sleep(0.3)
open("done", "w").close()
