"""Default timeouts, time zones and replaced clocks are as plain, and do not stop the export."""
# $ python PROGRAM timeout
# $ python PROGRAM zone
# $ python PROGRAM clock
# $ python PROGRAM sleep
# spans: 3

import os
import socket
import sys
import time

import requests

WEB = os.environ["WEB"]
how = sys.argv[1]
if how == "timeout":
    socket.setdefaulttimeout(5)
elif how == "zone":
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
elif how == "clock":
    time.time = lambda: 0.0
    time.monotonic = lambda: 5.0
    time.time_ns = lambda: 1
    time.perf_counter = lambda: 1.0
else:
    time.sleep = lambda seconds: print("sleeps", seconds)
for _ in range(3):
    print(requests.get(WEB).text)
print(socket.getdefaulttimeout(), time.tzname, time.sleep(0) if how == "sleep" else "")
