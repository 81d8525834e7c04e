"""A program whose current folder is gone makes its calls."""
# $ sh -c 'here=$PWD; mkdir gone; cd gone; rmdir ../gone; TRACERUN python $here/PROGRAM'
# $ python PROGRAM
# spans: 1

import os
import sys

try:
    os.mkdir("mine")
    os.chdir("mine")
    os.rmdir("../mine")
except OSError as error:
    print(error)
import requests

print(sys.path[0])
try:
    os.getcwd()
except OSError as error:
    print(error)
print(requests.get(os.environ["WEB"]).text)
