"""In the environment a program finds one folder more on PYTHONPATH and names of ours, nothing else."""
# fast
# $ python PROGRAM
# $ env PYTHONPATH=a:b TRACERUN python PROGRAM
# $ env PYTHONPATH=a: TRACERUN python PROGRAM
# $ sh -c 'TRACERUN env | grep -v "^TRACERUN_\|^_=\|^PYTHONPATH=" | sort'
# $ sh -c 'TRACERUN sh -c "python PROGRAM; python PROGRAM"'

import os

import requests

requests.get(os.environ["WEB"])
path = os.environ.get("PYTHONPATH", "").split(":")
print([entry for entry in path if "/tracerun/agent/" not in entry] or [""])
print({name: value for name, value in os.environ.items() if not name.startswith(("TRACERUN_", "PYTHONPATH", "_"))})
