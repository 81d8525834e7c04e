"""Filters by module and line, `once` registries and catch_warnings work as plain around traced calls."""
# $ python PROGRAM
# $ python -W error::UserWarning:__main__ PROGRAM
# $ python -W ignore PROGRAM
# spans: 5

import os
import warnings

import requests
from requests.adapters import HTTPAdapter


class Adapter(HTTPAdapter):
    def send(self, *args, **kwargs):
        self.warn()
        return super().send(*args, **kwargs)

    def build_response(self, *args):
        self.warn()
        return super().build_response(*args)

    def warn(self):
        for level in (1, 2, 3, 4, 5, 6):
            warnings.warn("adapter", UserWarning, stacklevel=level)


session = requests.Session()
session.mount("http://", Adapter())
for action in ("default", "once", "module", "ignore", "always", "error"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        warnings.filterwarnings("ignore", module="requests.sessions")
        try:
            session.get(os.environ["WEB"])
        except UserWarning as error:
            print("raised", error)
    print(action, [(os.path.basename(w.filename), w.lineno) for w in caught])
print(sorted(str(key) for key in globals().get("__warningregistry__", {})))
print(len(warnings.filters))
