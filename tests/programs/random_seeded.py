"""Seeded random numbers, uuids' sources and hashes are drawn as plain, however many calls come between."""
# fast
# $ python PROGRAM
# $ env PYTHONHASHSEED=42 TRACERUN python PROGRAM
# spans: 12

import os
import random

import requests

random.seed(7)
drawn = [random.random()]
for _ in range(10):
    requests.get(os.environ["WEB"])
    drawn.append(random.getrandbits(64))
state = random.getstate()
requests.get(os.environ["WEB"])
print(drawn, random.getstate() == state)
random.shuffle(drawn)
print(drawn[:3], random.Random(1).random())
requests.post(os.environ["WEB"], data=b"x")
if os.environ.get("PYTHONHASHSEED"):
    print(hash("text"), hash(b"bytes"))
