"""An uncaught error out of a traced call ends the program as plain, with the program's own frames."""
# fast
# $ python PROGRAM => 1
# $ python -X dev PROGRAM => 1
# $ python -X no_debug_ranges PROGRAM => 1
# spans: 1
# mask: Max retries.*

import requests


def outer():
    return inner()


def inner():
    return requests.get("http://127.0.0.1:9/", timeout=5)


outer()
