"""captureWarnings sends the program's warnings, and no others, to the log."""
# $ python PROGRAM
# $ python -W error PROGRAM
# $ python -X dev PROGRAM
# mask: 127.0.0.1:\d+

import logging
import os
import warnings

import requests

logging.basicConfig(format="%(name)s %(message)s")
logging.captureWarnings(True)
requests.get(os.environ["WEB"])
try:
    warnings.warn("captured")
    requests.get(os.environ["WEB_TLS"], verify=False)
except Warning as warning:
    print("raised", type(warning))
logging.captureWarnings(False)
requests.get(os.environ["WEB"])
print(warnings.showwarning)
