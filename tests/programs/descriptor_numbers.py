"""The numbers of file descriptors that a program gets are those it gets plain."""
# $ python PROGRAM
# spans: 3

import os
import time

import requests

for _ in range(3):
    requests.get(os.environ["WEB"])
    time.sleep(0.3)
    file = os.open("/dev/null", os.O_RDONLY)
    print(file)
