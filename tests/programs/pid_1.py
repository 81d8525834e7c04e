"""As PID 1, where the kernel gives no default disposition, signals and status are as plain."""
# $ unshare -pf --mount-proc TRACERUN python PROGRAM => 7
# $ unshare -pf --mount-proc TRACERUN sh -c 'exec python PROGRAM' => 7
# $ unshare -pf --mount-proc TRACERUN sh -c 'python PROGRAM; echo $?'
# spans: 2

import os
import signal
import sys

import requests

print(os.getpid() == 1, requests.get(os.environ["WEB"]).text)
if os.getpid() == 1:
    os.kill(1, signal.SIGTERM)
    os.kill(1, signal.SIGHUP)
    print("still here")
pid = os.fork()
if not pid:
    requests.get(os.environ["WEB"])
    os._exit(4)
print(os.waitpid(pid, 0)[1])
sys.exit(7)
