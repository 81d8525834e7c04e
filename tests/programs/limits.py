"""Resource limits that a program sets for itself hold for it as plain."""
# $ python PROGRAM
# says: span

import os
import resource
import signal

import requests

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
resource.setrlimit(resource.RLIMIT_NPROC, (resource.getrlimit(resource.RLIMIT_NPROC)[1],) * 2)
print(requests.get(os.environ["WEB"]).text)
try:
    with open("file", "wb", buffering=0) as file:
        print(file.write(b"x" * 60), file.write(b"x" * 60))
        print(file.write(b"x"))
except OSError as error:
    print(error)
print(signal.getsignal(signal.SIGXFSZ), os.stat("file").st_size)
