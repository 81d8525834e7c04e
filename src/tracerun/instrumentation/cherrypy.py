"""CherryPy: the SERVER span around an application, its route from the tree of page handlers, its exceptions."""

from __future__ import annotations

import sys
from typing import Any

from tracerun.instrumentation import serving, wsgi
from tracerun.instrumentation.context import tracer
from tracerun.instrumentation.patching import after, argument, before


def _set_route(_: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    # get_resource(self, path) has found the handler by walking the objects below the root.
    request, path = args[0], argument(args, kwargs, 1, "path", "")
    code = getattr(getattr(request.handler, "callable", None), "__code__", None)
    if code is None:
        return  # the handler of a 404 is an error, and that of a static file is none at all
    fixed, values = _walk(request.app.root, [part for part in path.split("/") if part])
    names = [*code.co_varnames[1 : code.co_argcount], *["args"] * values][:values]
    serving.set_route(request.script_name + "/" + "/".join([*fixed, *(f"{{{name}}}" for name in names)]))


def _walk(node: Any, parts: list[str]) -> tuple[list[str], int]:
    """The parts of a path that name objects, and how many follow that are arguments."""
    for index, part in enumerate(parts):
        node = getattr(node, part.replace(".", "_").replace("-", "_"), None)
        if node is None:
            return parts[:index], len(parts) - index
    return parts, 0


def _record(_: tuple[Any, ...], __: dict[str, Any]) -> None:
    serving.record(sys.exc_info()[1])  # handle_error(self) is called where the exception is caught


PATCHES = {
    "cherrypy._cptree:Application.__call__": wsgi.traced_call(tracer("cherrypy")),
    "cherrypy._cprequest:Request.get_resource": after(_set_route, "cherrypy"),
    "cherrypy._cprequest:Request.handle_error": before(_record, "cherrypy"),
}
