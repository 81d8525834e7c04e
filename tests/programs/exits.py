"""However a program ends, its status, its signal and its last words are as plain."""
# $ python PROGRAM sys.exit()
# $ python PROGRAM sys.exit(None)
# $ python PROGRAM "sys.exit('last words')"
# $ python PROGRAM "sys.exit((1, 2))"
# $ python PROGRAM "raise SystemExit"
# $ python PROGRAM "exit(0)"
# $ python PROGRAM "os._exit(0)"
# $ python PROGRAM "threading.Thread(target=sys.exit, args=(5,)).start()"
# $ python PROGRAM "threading.Thread(target=lambda: requests.get(WEB)).start()"
# $ python PROGRAM "os.execv('/bin/echo', ['echo', 'became', 'another'])"
# $ python PROGRAM "os.execlp('sh', 'sh', '-c', 'echo $0 $#; exit 0')"
# $ python PROGRAM "atexit.register(lambda: requests.get(WEB))"
# $ python PROGRAM "atexit.register(lambda: os._exit(0))"
# $ python PROGRAM "atexit.register(lambda: 1 / 0)"
# mask: ^\s+\^+$

import atexit
import os
import sys
import threading

import requests

WEB = os.environ["WEB"]
requests.get(WEB)
print("before", flush=True)
eval(compile(sys.argv[1], "argument", "exec"))
print("after")
