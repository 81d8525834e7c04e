"""With hardly any file descriptors left the program opens as many as plain, and its calls succeed."""
# $ sh -c 'ulimit -n 12; TRACERUN python PROGRAM'
# $ sh -c 'ulimit -n 16; TRACERUN python PROGRAM hungry'
# says: Too many open files
# says: spans reach
# $ sh -c 'ulimit -n 40; TRACERUN python PROGRAM'

import os
import resource
import sys

import requests

print(requests.get(os.environ["WEB"]).text)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
if len(sys.argv) > 1:
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        print(error.strerror)
    try:
        requests.get(os.environ["WEB"])
    except requests.ConnectionError:
        print("no connection")
    for descriptor in held:
        os.close(descriptor)
print(requests.get(os.environ["WEB"]).text)
