"""However a program ends, its status, its signal and its last words are as plain."""
# $ python PROGRAM sys.exit()
# $ python PROGRAM sys.exit(3) => 3
# $ python PROGRAM sys.exit(-1) => 255
# $ python PROGRAM sys.exit(256)
# $ python PROGRAM "raise SystemExit(2**40)"
# $ python PROGRAM "raise KeyboardInterrupt" => -2
# $ python PROGRAM "raise LookupError(WEB[:4])" => 1
# $ python PROGRAM "os._exit(9)" => 9
# $ python PROGRAM "os.abort()" => -6
# $ python PROGRAM "os.kill(os.getpid(), 9)" => -9
# $ python PROGRAM "os.kill(os.getpid(), 15)" => -15
# $ python PROGRAM "os.kill(os.getpid(), 1)" => -1
# $ python PROGRAM "os.kill(os.getpid(), 2)" => -2
# $ python PROGRAM "os.kill(os.getpid(), 10)" => -10
# $ python -X faulthandler PROGRAM "os.kill(os.getpid(), 11)" => -11
# $ python PROGRAM "import ctypes; ctypes.string_at(0)" => -11
# $ python PROGRAM "os.close(1); raise SystemExit(4)" => 4
# $ python PROGRAM sys.exit(None)
# $ python PROGRAM "sys.exit('last words')" => 1
# $ python PROGRAM "sys.exit((1, 2))" => 1
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
# mask: (Thread 0x.*\n(?:  .*\n)*\n)*Current thread|Extension modules.*

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
