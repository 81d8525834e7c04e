"""Alarms and interval timers interrupt calls as plain."""
# $ python PROGRAM
# spans: 4

import os
import signal
import socket

import requests

requests.get(os.environ["WEB"])
listener = socket.create_server(("127.0.0.1", 0))
silent = f"http://127.0.0.1:{listener.getsockname()[1]}/"


class Alarm(Exception):
    pass


def on_alarm(number, frame):
    raise Alarm("time is up")


signal.signal(signal.SIGALRM, on_alarm)
for timer in (signal.ITIMER_REAL, signal.ITIMER_REAL):
    signal.setitimer(timer, 0.2)
    try:
        requests.get(silent)
    except Alarm as error:
        print(error, error.__context__, error.__cause__)
ticks = 0


def on_tick(number, frame):
    global ticks
    ticks += 1


signal.signal(signal.SIGALRM, on_tick)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print(requests.get(os.environ["WEB"]).text)
while ticks < 10:
    signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
print("ticked")
