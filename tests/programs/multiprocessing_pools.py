"""Processes, pools and managers of every start method work as plain, and all their calls are traced."""
# $ python PROGRAM fork
# $ python PROGRAM spawn
# $ python PROGRAM forkserver
# $ python -W error PROGRAM fork
# $ python -X dev PROGRAM spawn
# spans: 10

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import requests


def call(number):
    return requests.get(f"{os.environ['WEB']}/200/{number}").text


def child(queue):
    queue.put((call("child"), multiprocessing.parent_process() is not None, __name__))
    sys.exit(3)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    call("parent")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
    with context.Pool(2) as pool:
        print(pool.map(call, range(4), chunksize=1))
        pool.close()
        pool.join()
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        print(list(executor.map(call, range(4))))
    print(multiprocessing.active_children())
