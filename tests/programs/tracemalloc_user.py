"""tracemalloc and gc, as programs use them, work as plain around calls."""
# $ python PROGRAM
# $ python -X tracemalloc PROGRAM
# spans: 2

import gc
import os
import tracemalloc

import requests


class Mine:
    pass


tracemalloc.start()
kept = [Mine() for _ in range(100)]
requests.get(os.environ["WEB"])
snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, __file__)])
print(any(s.traceback[0].lineno == 20 for s in snapshot.statistics("lineno")), tracemalloc.is_tracing())
tracemalloc.stop()
print(sum(type(o) is Mine for o in gc.get_objects()), gc.isenabled(), gc.get_threshold(), gc.callbacks, gc.get_debug())
gc.collect()
gc.disable()
requests.get(os.environ["WEB"])
print(gc.isenabled(), gc.garbage, gc.get_freeze_count())
del kept
print(sum(type(o) is Mine for o in gc.get_objects()))
