"""Children with the environment, an empty one or one of their own run as plain."""
# $ python PROGRAM
# $ python -W error PROGRAM
# $ tracerun --children none python PROGRAM
# $ tracerun --children all python PROGRAM
# mask: subprocess \d+

import os
import subprocess
import sys

import requests

CODE = "import sys, os; print(sys.path[1:], sys.flags.isolated, len(sys.argv))"
requests.get(os.environ["WEB"])
for env in (
    None,
    {},
    {"PATH": os.environ["PATH"]},
    {**os.environ, "PYTHONPATH": "/x:"},
    {**os.environ, "HOME": "/nonexistent"},
):
    done = subprocess.run([sys.executable, "-c", CODE, "a"], env=env, capture_output=True, text=True, check=False)
    print(done.returncode, done.stderr, done.stdout)
print(subprocess.run("echo $0; exit 3", shell=True, check=False).returncode)
print(subprocess.check_output([sys.executable, "-I", "-c", "print('isolated')"], text=True))
print(subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"], check=False).returncode)
print(os.system("exit 2"), os.popen("echo popen").read())
pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "print('spawned', flush=True)"], os.environ)
print(os.waitpid(pid, 0)[1])
with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
    print(cat.communicate(b"piped"))
