"""Arguments that are no text reach the program and its calls as plain."""
# $ sh -c 'TRACERUN python PROGRAM "$(printf "caf\351")" "ünïcode" ""'
# $ sh -c 'TRACERUN env "NAME=$(printf "caf\351")" python PROGRAM'
# $ sh -c 'cp PROGRAM "$(printf "caf\351.py")"; TRACERUN python "$(printf "caf\351.py")"'
# $ sh -c 'mkdir "$(printf "d\351")"; cp PROGRAM "$(printf "d\351")"; cd "$(printf "d\351")"; TRACERUN python -m argv_bytes'
# spans: 1

import os
import sys

import requests

print(ascii(sys.argv), ascii(sys.orig_argv), ascii(os.environ.get("NAME")), ascii(__file__), ascii(sys.path[0]))
print(requests.get(os.environ["WEB"]).text)
