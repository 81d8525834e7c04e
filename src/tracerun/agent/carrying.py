"""The context goes along: into threads and greenlets, and with each task into the threads of a pool.

Only OpenTelemetry's own part of it: the program's context variables go where they go without us. Installed at the
set-up; before that there is no context to carry. What is wrapped stands below all that a program sees: the function
that starts a thread, a greenlet's own context before it runs, and a pool's entry for one task. So subclasses,
signatures and pickles are what they were, and no frame of ours comes into a traceback.

A pool's thread starts with no context, whatever task it is started for: each task brings its own, and the thread
outlives them. The same goes for threads that libraries start once and keep.
"""

from __future__ import annotations

import contextvars
from functools import update_wrapper
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from tracerun.agent import hooks
from tracerun.agent.guard import guarded
from tracerun.instrumentation.patching import after, before

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# What starts a thread for threading.Thread, before Python 3.13 and since.
STARTERS = ("_start_new_thread", "_start_joinable_thread")
# Modules and packages whose threads serve many requests, by what the thread runs.
KEPT = frozenset(
    (
        "anyio._backends._asyncio",
        "concurrent.futures.process",
        "concurrent.futures.thread",
        "logging.handlers",
        "multiprocessing.managers",
        "multiprocessing.pool",
        "multiprocessing.queues",
    )
)
KEPT_PACKAGES = frozenset(("ddtrace", "elasticapm", "newrelic", "opentelemetry", "posthog", "sentry_sdk"))
# Packages whose patching makes greenlets of threads.
GREEN = frozenset(("eventlet", "gevent"))
# Where a pool's entry keeps the context of the task.
CONTEXT = "tracerun_context"
_WHAT = "the context of a thread"
_GUARD = guarded(_WHAT)


def install() -> None:
    """From here on; where a module is not imported yet, from its import on."""
    hooks.when_imported("threading", _on_threading)
    hooks.when_imported("concurrent.futures.thread", _on_executors)
    hooks.when_imported("multiprocessing.pool", _on_thread_pools)
    hooks.when_imported("gevent.greenlet", _on_gevent)
    hooks.when_imported("gevent.threadpool", _on_gevents_threads)
    hooks.when_imported("eventlet.greenthread", _on_eventlet)


def _on_threading(threading: ModuleType) -> None:
    for name in STARTERS:
        original = vars(threading).get(name)
        if original is not None:
            setattr(threading, name, _carrying(original))


class _Started:
    """What a thread runs first: its context is put in place, for as long as the thread lives."""

    __slots__ = ("_context", "_function")

    def __init__(self, function: Callable[..., Any], context: Context) -> None:
        self._function = function
        self._context: Context | None = context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context, self._context = self._context, None
        if context is not None:
            otel_context.attach(context)
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    # A thread that is a greenlet takes the context along as such, and eventlet must see what it is to run itself.
    is_green = (getattr(original, "__module__", None) or "").partition(".")[0] in GREEN

    def start(function: Any, *args: Any, **kwargs: Any) -> Any:
        started, token = function, None
        with _GUARD:
            context = otel_context.get_current()
            if context and _is_kept(getattr(function, "__self__", None)):
                token = otel_context.attach(Context())  # for a greenlet: nothing to take along
            elif context and not is_green:
                started = _Started(function, context)
        try:
            return original(started, *args, **kwargs)
        finally:
            if token is not None:
                otel_context.detach(token)

    # Not update_wrapper: the original is built in, and that name is nobody's to look at.
    return start


def _is_kept(thread: Any) -> bool:
    """Whether a thread, or a greenlet, goes on beyond what it is started for."""
    target = getattr(thread, "_target", None) or getattr(thread, "_run", None)
    module = getattr(type(thread) if target is None else target, "__module__", None) or ""
    return module in KEPT or module.partition(".")[0] in KEPT_PACKAGES


def _on_executors(module: ModuleType) -> None:
    entry: Any = module._WorkItem
    entry.__init__ = _keeping(entry.__init__)
    entry.run = _running(entry.run)


def _keeping(original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
        original(self, *args, **kwargs)
        try:
            context = otel_context.get_current()
            if context:
                setattr(self, CONTEXT, context)
        except Exception as error:
            if not _GUARD.swallows(error):
                raise

    return update_wrapper(__init__, original)


def _running(original: Any) -> Any:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        context = getattr(self, CONTEXT, None)
        if context is None:
            return original(self, *args, **kwargs)
        token = otel_context.attach(context)
        try:
            return original(self, *args, **kwargs)
        finally:
            otel_context.detach(token)

    return update_wrapper(run, original)


# multiprocessing's pools of threads hand plain tuples to their threads; the results, which are made by the caller and
# found by the task's number, keep the context.


def _on_thread_pools(module: ModuleType) -> None:
    for result in (module.ApplyResult, module.IMapIterator):
        result.__init__ = _keeping(result.__init__)
    original = module.ThreadPool._setup_queues

    def _setup_queues(self: Any) -> None:
        original(self)
        with _GUARD:
            self._inqueue = _Tasks(self._inqueue, ref(self))

    module.ThreadPool._setup_queues = update_wrapper(_setup_queues, original)


class _Tasks:
    """The queue that the threads of a pool take tasks from: each is taken together with its context."""

    def __init__(self, queue: Any, pool: ref[Any]) -> None:
        self._queue = queue
        self._pool = pool

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """As the queue's own; what the thread's task before has left is gone."""
        if args or kwargs:  # not one of the pool's threads: who ends the pool empties the queue
            return self._queue.get(*args, **kwargs)
        with _GUARD:
            otel_context.attach(Context())
        task = self._queue.get(*args, **kwargs)
        with _GUARD:
            pool = self._pool()
            if pool is not None and task is not None:
                otel_context.attach(getattr(pool._cache.get(task[0]), CONTEXT, None) or Context())
        return task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


# Greenlets. Each begins with an empty context of its own; nothing but OpenTelemetry's variable is put into it. What a
# server makes for a connection comes from gevent's hub, in which there is no context. Raw ones stay as they are.


def _on_gevent(module: ModuleType) -> None:
    # gevent's own way to see every greenlet before it is started: subclasses, pools', early bound or not.
    module.Greenlet.add_spawn_callback(_take_along)


def _on_eventlet(module: ModuleType) -> None:
    made: Any = module.GreenThread
    made.__init__ = after(_take_along_made, _WHAT)(made.__init__)
    spawn = after(_take_along_spawned, _WHAT)
    module._spawn_n = spawn(module._spawn_n)  # type: ignore[attr-defined]


def _take_along_made(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    _take_along(args[0])


def _take_along_spawned(spawned: Any, _: tuple[Any, ...], __: dict[str, Any]) -> None:
    _take_along(spawned[1])


def _take_along(greenlet: Any) -> None:
    """Gives the context to a greenlet that is about to be started, unless the program has given it one."""
    with _GUARD:
        context = otel_context.get_current()
        if context and greenlet.gr_context is None and not _is_kept(greenlet):
            own = contextvars.Context()
            own.run(otel_context.attach, context)
            greenlet.gr_context = own


# gevent's pools of threads keep a task's context in its result, where there is no other room: until the task fails, the
# place of the failure's context is empty.


def _on_gevents_threads(module: ModuleType) -> None:
    result, worker = module.ThreadResult, module._WorkerGreenlet
    result.__init__ = after(_note_context, _WHAT)(result.__init__)
    worker._before_run_task = before(_begin_task, _WHAT)(worker._before_run_task)
    worker._after_run_task = before(_end_task, _WHAT)(worker._after_run_task)


def _note_context(_: None, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    args[0].context = otel_context.get_current() or None


def _begin_task(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    result = args[4]  # after the worker and the function with its arguments
    if result.context is not None:
        otel_context.attach(result.context)
        result.context = None


def _end_task(_: tuple[Any, ...], __: dict[str, Any]) -> None:
    otel_context.attach(Context())
