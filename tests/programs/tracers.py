"""A program's own sys.settrace and sys.setprofile see its functions as plain, and stay set through calls."""
# $ python PROGRAM
# $ python -m trace --count -C counts PROGRAM
# spans: 2

import os
import sys
import threading

import requests

events = []


def tracer(frame, event, arg):
    if frame.f_code.co_filename == __file__:
        events.append((event, frame.f_code.co_name, frame.f_lineno))
        return tracer
    return None


def profiler(frame, event, arg):
    if frame.f_code.co_filename == __file__:
        events.append((event, frame.f_code.co_name))


def work():
    return requests.get(os.environ["WEB"]).status_code


sys.settrace(tracer)
threading.settrace(tracer)
work()
print(sys.gettrace() is tracer)
sys.settrace(None)
sys.setprofile(profiler)
work()
print(sys.getprofile() is profiler)
sys.setprofile(None)
print(events)
