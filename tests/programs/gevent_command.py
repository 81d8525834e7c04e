"""`python -m gevent.monkey` patches before the program, as plain."""
# $ python -m gevent.monkey PROGRAM a b
# spans: 2

import os
import socket
import sys

import requests

print(socket.socket.__module__, sys.argv)
print(requests.get(os.environ["WEB"]).text)
print(requests.get(os.environ["WEB_TLS"], verify=os.environ["WEB_CA"]).text)
