"""``python -m tracerun`` is ``tracerun``."""

from tracerun.cli.launch import main

if __name__ == "__main__":
    main()
