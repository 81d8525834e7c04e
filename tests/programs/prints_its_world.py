"""What a program can see of how it was started is what it sees plain."""
# fast
# $ python PROGRAM a b --help
# $ python -m prints_its_world -x
# $ python -c "exec(open('prints_its_world.py').read())" -c x
# $ sh -c 'TRACERUN python - one two < PROGRAM'
# $ sh -c 'TRACERUN python < PROGRAM'
# $ python -P PROGRAM
# $ python -B PROGRAM
# $ python -O PROGRAM
# $ python -OO PROGRAM
# $ python -X dev PROGRAM
# $ python -W error PROGRAM
# $ python -W ignore::DeprecationWarning -W always PROGRAM
# $ python -u PROGRAM
# $ python -q PROGRAM
# $ python -b PROGRAM
# $ python -bb PROGRAM
# $ python -s PROGRAM
# $ python -R PROGRAM
# $ python -x PROGRAM
# $ python -X utf8 PROGRAM
# $ python -X faulthandler PROGRAM
# $ python -X tracemalloc=5 PROGRAM
# $ python -X frozen_modules=off PROGRAM
# $ python -X no_debug_ranges PROGRAM
# $ python -X warn_default_encoding PROGRAM
# $ python -X int_max_str_digits=1000 PROGRAM
# $ python -X pycache_prefix=cache PROGRAM
# $ python --check-hash-based-pycs never PROGRAM
# $ sh -c 'python PROGRAM; python PROGRAM again; exit 3' => 3
# $ sh -c 'exec python PROGRAM "$@"' sh x 'y z'
# $ env python PROGRAM
# $ env -u HOME TRACERUN python PROGRAM
# $ env HOME=/nonexistent TRACERUN python PROGRAM
# $ timeout 50 python PROGRAM
# $ nice -n 5 python PROGRAM
# $ setsid -w python PROGRAM
# $ python PROGRAM → ü 'a b' '' '*'
# $ sh -c 'TRACERUN python PROGRAM "$(printf "\377\376x")"'
# $ sh -c 'TRACERUN python PROGRAM <&-'
# $ sh -c 'TRACERUN python PROGRAM 2>&-'
# $ sh -c 'TRACERUN python PROGRAM <&- 2>&-'
# $ sh -c 'TRACERUN python PROGRAM >&-'
# $ sh -c 'TRACERUN python PROGRAM <&- >&- 2>&-'
# $ sh -c 'here=$PWD; mkdir gone; cd gone; rmdir ../gone; TRACERUN python $here/PROGRAM'
# $ env PYTHONPATH= TRACERUN python PROGRAM
# $ env PYTHONPATH=lib TRACERUN python PROGRAM
# $ env PYTHONPATH=lib: TRACERUN python PROGRAM
# $ env PYTHONPATH=:lib TRACERUN python -m prints_its_world
# $ env PYTHONPATH=.:/nowhere::lib TRACERUN python PROGRAM
# $ env PYTHONSAFEPATH=1 TRACERUN python PROGRAM
# $ env PYTHONDONTWRITEBYTECODE=1 TRACERUN python PROGRAM
# $ env PYTHONWARNINGS=error TRACERUN python PROGRAM
# $ env PYTHONWARNINGS=default,ignore::UserWarning TRACERUN python -W once PROGRAM
# $ env PYTHONUTF8=1 LC_ALL=C TRACERUN python PROGRAM é
# $ env PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 LC_ALL=C TRACERUN python PROGRAM é
# $ env LC_ALL=C TRACERUN python PROGRAM é
# $ env LC_ALL=C.UTF-8 TRACERUN python PROGRAM é
# $ env PYTHONIOENCODING=latin-1:replace TRACERUN python PROGRAM é
# $ env PYTHONOPTIMIZE=2 TRACERUN python PROGRAM
# $ env PYTHONHASHSEED=7 TRACERUN python PROGRAM
# $ env PYTHONHASHSEED=0 PYTHONUNBUFFERED=1 TRACERUN python PROGRAM
# $ env PYTHONDEVMODE=1 TRACERUN python PROGRAM
# $ env PYTHONNOUSERSITE=1 PYTHONFAULTHANDLER=1 TRACERUN python PROGRAM
# $ env PYTHONPLATLIBDIR=lib PYTHONPYCACHEPREFIX=cache TRACERUN python PROGRAM

import os
import signal
import sys

spec = globals().get("__spec__")
main = sys.modules["__main__"]
for line in (
    ("argv", sys.argv, sys.orig_argv),
    ("path", sys.path, sys.path_hooks),
    ("flags", sys.flags, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.pycache_prefix),
    ("interpreter", sys.executable, sys.prefix, sys.base_prefix, sys.platlibdir),
    ("main", __name__, spec and (spec.name, spec.origin, spec.cached), sorted(vars(main))),
    ("debug", __debug__, __doc__, sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile()),
    ("streams", [(s.encoding, s.errors, s.line_buffering) if s else s for s in (sys.stdin, sys.stdout, sys.stderr)]),
    ("filesystem", sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), sorted(os.listdir("."))),
    (
        "signals",
        [(name.name, signal.getsignal(name)) for name in sorted(signal.valid_signals()) if name in set(signal.Signals)],
    ),
    ("process", os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid(), os.nice(0), os.umask(0o22)),
    (
        "site",
        [name for name in ("sitecustomize", "usercustomize", "ssl", "threading", "asyncio") if name in sys.modules],
    ),
    ("filters", __import__("warnings").filters),
    ("environment", sorted(name for name in os.environ if not name.startswith(("TRACERUN_", "PYTHONPATH")))),
):
    try:
        print(*line)
    except (OSError, AttributeError):
        os._exit(9)
