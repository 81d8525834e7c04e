"""What stops a program before or at its first line ends it as plain."""
# $ python PROGRAM syntax => 1
# $ python nosuch.py => 2
# $ python -m nosuch => 1
# $ python -c "def" => 1
# $ python -c "import nosuch" => 1
# $ python -Z => 2
# $ python --version
# $ python -VV
# $ python --help
# $ sh -c 'echo "1 +" > broken.py; TRACERUN python broken.py' => 1
# $ sh -c 'printf "\377\376\n" > broken.py; TRACERUN python broken.py' => 1
# $ sh -c 'echo "# coding: nosuch" > broken.py; TRACERUN python broken.py' => 1
# $ sh -c 'mkdir empty; TRACERUN python empty' => 1
# $ sh -c 'echo "import requests, sys, os; requests.get(os.environ[\"WEB\"]); 1/0" > broken.py; TRACERUN python -c "import broken"' => 1
# $ sh -c 'TRACERUN python PROGRAM | true'
# $ sh -c 'TRACERUN python -W error -c "import warnings; warnings.warn(str(1))"' => 1

import sys

if len(sys.argv) > 1:
    compile("a b", "text", "exec")
for number in range(100000):
    print(number)
