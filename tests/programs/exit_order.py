"""atexit functions, finalizers and __del__ at shutdown run in the order and the state that they have plain."""
# $ python PROGRAM
# $ python -X dev PROGRAM
# spans: 3

import atexit
import os
import sys
import threading
import weakref

import requests

WEB = os.environ["WEB"]


class Last:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("deleted", self.name, sys is not None, sys and sys.is_finalizing())


kept = Last("global")
cycle = Last("cycle")
cycle.self = cycle
weakref.finalize(kept, print, "finalized")
atexit.register(print, "first registered")
atexit.register(lambda: print("call at exit", requests.get(WEB).status_code))


def work():
    threading.main_thread().join()
    print("thread", requests.get(WEB).status_code)


threading.Thread(target=work).start()
print(atexit._ncallbacks() > 0)
requests.get(WEB)
atexit.register(print, "last registered")
