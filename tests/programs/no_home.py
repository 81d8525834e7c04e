"""Where spans cannot be kept the program runs as plain."""
# $ env -u HOME -u TRACERUN_DIR TRACERUN python PROGRAM
# $ env -u TRACERUN_DIR HOME=relative TRACERUN python PROGRAM
# $ env TRACERUN_DIR=/dev/null/x TRACERUN python PROGRAM
# $ env TRACERUN_DIR=/proc/x TRACERUN python PROGRAM
# $ unshare -m sh -c 'mount --bind . /mnt && mount -o remount,ro,bind /mnt && cd /mnt && export HOME=/mnt TRACERUN_DIR=/mnt/state && TRACERUN python PROGRAM'
# says: span

import os

import requests

print(requests.get(os.environ["WEB"]).text)
try:
    open("file", "w").close()
    os.unlink("file")
    print("writable")
except OSError as error:
    print(error)
