"""Programs that clear, replace or shorten their environment go on as plain."""
# $ python PROGRAM clear
# $ python PROGRAM replace
# $ python PROGRAM delete
# $ python PROGRAM home
# $ python PROGRAM unsetenv
# spans: 2

import os
import subprocess
import sys

import requests

WEB = os.environ["WEB"]
how = sys.argv[1]
if how == "clear":
    os.environ.clear()
elif how == "replace":
    os.environ = {"ONLY": "this"}
elif how == "delete":
    for name in list(os.environ):
        if name.startswith(("TRACERUN", "PYTHON", "OTEL")):
            del os.environ[name]
elif how == "home":
    os.environ["HOME"] = "/nonexistent"
    os.environ.pop("TRACERUN_DIR", None)
else:
    for name in ("PYTHONPATH", "TRACERUN_DIR", "HOME", "PATH"):
        os.unsetenv(name)
print(requests.get(WEB, proxies={"http": None}).text)
done = subprocess.run(
    [sys.executable, "-c", "import sys; print(sys.path[1:])"], capture_output=True, text=True, check=False
)
print(done.returncode, done.stdout, done.stderr)
print(requests.get(WEB).text, sorted(os.environ) if how in ("clear", "replace") else "")
