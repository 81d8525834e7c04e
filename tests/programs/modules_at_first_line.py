"""At the first line nothing is loaded that changes what the program may do, such as patching ssl or threading."""
# fast
# $ python PROGRAM
# $ python -X dev PROGRAM
# $ python -S PROGRAM

import sys

OURS = {"atexit", "__future__"}
print(sorted(name for name in sys.modules if name.partition(".")[0] != "tracerun" and name not in OURS))
