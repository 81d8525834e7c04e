"""An uncaught error out of a traced call ends the program as plain, with the program's own frames."""
# fast
# $ python PROGRAM
# $ python -X dev PROGRAM
# $ python -X no_debug_ranges PROGRAM
# spans: 1
# status: 1
# mask: Max retries.*

import requests


def outer():
    return inner()


def inner():
    return requests.get("http://127.0.0.1:9/", timeout=5)


outer()
