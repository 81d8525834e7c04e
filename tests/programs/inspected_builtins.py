"""Functions of the standard library that we stand in front of look and behave as plain."""
# $ python PROGRAM
# $ python PROGRAM called
# mask: 0x\w+

import inspect
import os
import pickle
import signal
import sys

import requests

if len(sys.argv) > 1:
    requests.get(os.environ["WEB"])
for function in (signal.signal, signal.getsignal, os._exit, os.execv, os.execve):
    print(function.__name__, function.__qualname__, function.__module__, function.__doc__[:50])
    print(inspect.signature(function), pickle.loads(pickle.dumps(function)) is function)
for wrong in ((), ("x",), (1, 2, 3), (99999, signal.SIG_DFL), (signal.SIGKILL, signal.SIG_IGN), (signal.SIGTERM, "x")):
    for function in (signal.signal, signal.getsignal):
        try:
            print(function(*wrong))
        except Exception as error:
            print(type(error).__name__, error)
for wrong in ((), ("x",)):
    for function in (os._exit, os.execv, os.execve):
        try:
            print(function(*wrong))
        except TypeError as error:
            print(type(error).__name__, error)
try:
    os.execv("/nonexistent", ["x"])
except OSError as error:
    print(repr(error))
try:
    os.execvp("nonexistent-command", ["x"])
except OSError as error:
    print(repr(error))
