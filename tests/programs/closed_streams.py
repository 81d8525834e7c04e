"""Without some of the standard streams a program makes its calls, and its files stay its own."""
# $ sh -c 'TRACERUN python PROGRAM <&-; cat result'
# $ sh -c 'TRACERUN python PROGRAM >&-; cat result'
# $ sh -c 'TRACERUN python PROGRAM 2>&-; cat result'
# $ sh -c 'TRACERUN python PROGRAM <&- >&-; cat result'
# $ sh -c 'TRACERUN python PROGRAM <&- >&- 2>&-; cat result'
# spans: 2

import os
import sys

import requests

with open("result", "w", encoding="utf-8") as file:
    file.write(f"{sys.stdin is None} {sys.stdout is None} {sys.stderr is None}\n")
    file.writelines(requests.get(os.environ["WEB"] + "/404/x").text + "\n" for _ in range(2))
