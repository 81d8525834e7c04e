#!/usr/bin/env -S python -B
"""A script is run by its first line."""
# before: chmod +x PROGRAM
# $ ./PROGRAM a b
# $ sh -c './PROGRAM "$0" && echo done' x
# spans: 1

import os
import sys

import requests

print(sys.argv, sys.orig_argv, sys.flags.dont_write_bytecode)
print(requests.get(os.environ["WEB"]).text)
