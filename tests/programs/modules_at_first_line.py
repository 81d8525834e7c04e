"""At the first line nothing is loaded that changes what the program may do, such as patching ssl or threading."""
# fast
# $ python PROGRAM
# $ python -X dev PROGRAM

import sys

print(sorted(name for name in sys.modules if name.partition(".")[0] != "tracerun"))
