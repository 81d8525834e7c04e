"""Ctrl-C during a call, in a loop and in threads is what it is plain."""
# $ python PROGRAM call => -2
# $ python PROGRAM caught
# $ python PROGRAM asyncio => -2
# $ python PROGRAM ignored

import _thread
import asyncio
import os
import signal
import socket
import sys
import threading
import time

import httpx
import requests

requests.get(os.environ["WEB"])
listener = socket.create_server(("127.0.0.1", 0))
silent = f"http://127.0.0.1:{listener.getsockname()[1]}/"


def interrupt():
    kept.append(listener.accept())
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)


kept = []
threading.Thread(target=interrupt, daemon=True).start()
how = sys.argv[1]
if how == "call":
    requests.get(silent)
elif how == "caught":
    try:
        requests.get(silent)
    except KeyboardInterrupt as error:
        print("interrupted", error.args)
    try:
        _thread.interrupt_main()
        requests.get(silent)
    except KeyboardInterrupt:
        print("again")
elif how == "asyncio":

    async def main():
        try:
            async with httpx.AsyncClient() as client:
                await client.get(silent, timeout=30)
        except asyncio.CancelledError:
            print("cancelled")
            raise

    asyncio.run(main())
else:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        requests.get(silent, timeout=1)
    except requests.Timeout:
        print("timeout")
