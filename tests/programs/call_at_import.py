"""A call made while a module is being imported, under its import lock, goes well."""
# $ python PROGRAM
# spans: 1

import os
import sys

with open("caller.py", "w") as file:
    file.write("import os, threading, requests\n")
    file.write("answers = []\n")
    file.write("t = threading.Thread(target=lambda: answers.append(requests.get(os.environ['WEB']).text))\n")
    file.write("t.start(); t.join()\n")
sys.path.insert(0, os.getcwd())
import caller

print(caller.answers)
