"""Bytes on stdout and stderr are the same in every encoding, also those that cannot be encoded."""
# $ env LC_ALL=C TRACERUN python PROGRAM
# $ env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 TRACERUN python PROGRAM
# $ env LC_ALL=C.UTF-8 TRACERUN python PROGRAM
# $ env PYTHONIOENCODING=ascii:strict TRACERUN python PROGRAM
# $ env PYTHONIOENCODING=utf-16 TRACERUN python PROGRAM
# $ env PYTHONIOENCODING=cp1252:replace TRACERUN python -X utf8 PROGRAM
# $ python -X utf8=0 PROGRAM
# spans: 1

import locale
import os
import sys

import requests

text = requests.get(os.environ["WEB"] + "/ü").text
for out in ("ü", "→ €", "\udcff", text):
    for stream in (sys.stdout, sys.stderr):
        try:
            print(out, file=stream)
        except UnicodeError as error:
            print(type(error).__name__, error.reason, file=stream)
print(locale.getpreferredencoding(False), locale.setlocale(locale.LC_ALL), sys.getdefaultencoding())
sys.stdout.reconfigure(encoding="latin-1", errors="backslashreplace", newline="\r\n")
print("ü → end")
