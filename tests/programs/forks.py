"""os.fork with pending spans, with threads and with exceptions in the child is what it is plain."""
# $ python PROGRAM
# $ python -X dev PROGRAM
# $ python -W error PROGRAM
# spans: 5

import os
import sys
import threading

import requests

WEB = os.environ["WEB"]
requests.get(WEB)
print("parent", flush=True)
for how in ("_exit", "exit", "raise", "signal"):
    pid = os.fork()
    if not pid:
        print(how, requests.get(WEB).text, threading.active_count(), flush=True)
        if how == "_exit":
            os._exit(3)
        if how == "exit":
            sys.exit(4)
        if how == "raise":
            raise SystemExit("raised in the child")
        os.kill(os.getpid(), 15)
    print(os.waitpid(pid, 0)[1], flush=True)
