"""With little memory a program does what it does plain, and meets its MemoryError where it does plain."""
# $ sh -c 'ulimit -v 400000; TRACERUN python PROGRAM'
# spans: 2

import os

import requests

print(requests.get(os.environ["WEB"]).text)
try:
    bytearray(1 << 40)
except MemoryError:
    print("MemoryError")
print(requests.get(os.environ["WEB"]).text)
