"""Wrapping a library's function: our part before and after it, guarded, the call itself untouched.

An instrumentor says what begins (``begin``), and gets back a call that is told how it ended. Whatever our
part raises is swallowed; whatever the library raises or returns is the program's.
"""

from __future__ import annotations

import sys
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Protocol

from tracerun.agent.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable


class Call(Protocol):
    """One call of a wrapped function, from ``begin`` on."""

    def ended(self, result: Any) -> Any:
        """The function has returned; gives what the program is to get (nearly always ``result``)."""

    def failed(self, error: BaseException) -> None:
        """The function has raised; the error goes on to the program."""


def around(begin: Callable[[tuple[Any, ...], dict[str, Any]], Call | None], what: str) -> Callable[[Any], Any]:
    """A factory of wrappers around plain functions.

    Args:
        begin: Called with the positional and keyword arguments before the function.
        what: Named on stderr should our part fail.
    """
    return around_changed(_unchanged(begin), what)


def around_async(begin: Callable[[tuple[Any, ...], dict[str, Any]], Call | None], what: str) -> Callable[[Any], Any]:
    """The same around coroutine functions."""
    return around_changed_async(_unchanged(begin), what)


def _unchanged(begin: Callable[..., Call | None]) -> Callable[..., tuple[Call, tuple[Any, ...], dict[str, Any]] | None]:
    def with_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = begin(args, kwargs)
        return None if call is None else (call, args, kwargs)

    return with_arguments


def around_changed(
    begin: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Call, tuple[Any, ...], dict[str, Any]] | None], what: str
) -> Callable[[Any], Any]:
    """The same as ``around`` where ``begin`` also gives the arguments that the function is called with."""
    guard = guarded(what)

    def factory(original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if sys.is_finalizing():
                return original(*args, **kwargs)
            begun = None
            try:
                begun = begin(args, kwargs)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            if begun is None:
                return original(*args, **kwargs)
            call, args, kwargs = begun
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                with guard:
                    call.failed(error)
                raise
            try:
                result = call.ended(result)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            return result

        return update_wrapper(wrapper, original)

    return factory


def around_changed_async(
    begin: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Call, tuple[Any, ...], dict[str, Any]] | None], what: str
) -> Callable[[Any], Any]:
    """The same around what gives an awaitable."""
    guard = guarded(what)

    def factory(original: Any) -> Any:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            begun = None
            try:
                begun = begin(args, kwargs)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            if begun is None:
                return await original(*args, **kwargs)
            call, args, kwargs = begun
            try:
                result = await original(*args, **kwargs)
            except BaseException as error:
                with guard:
                    call.failed(error)
                raise
            try:
                result = call.ended(result)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            return result

        return update_wrapper(wrapper, original)

    return factory


def after(then: Callable[[Any, tuple[Any, ...], dict[str, Any]], None], what: str) -> Callable[[Any], Any]:
    """A factory of wrappers that look at what a function has done: ``then(result, args, kwargs)``."""
    guard = guarded(what)

    def factory(original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            try:
                then(result, args, kwargs)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            return result

        return update_wrapper(wrapper, original)

    return factory


def after_async(then: Callable[[Any, tuple[Any, ...], dict[str, Any]], None], what: str) -> Callable[[Any], Any]:
    """The same around coroutine functions."""
    guard = guarded(what)

    def factory(original: Any) -> Any:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            try:
                then(result, args, kwargs)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            return result

        return update_wrapper(wrapper, original)

    return factory


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, default: Any = None) -> Any:
    """An argument, however it was passed."""
    return args[position] if len(args) > position else kwargs.get(name, default)


def with_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, value: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with one of them replaced, passed as it was passed."""
    if len(args) > position:
        return (*args[:position], value, *args[position + 1 :]), kwargs
    return args, {**kwargs, name: value}


def before(look: Callable[[tuple[Any, ...], dict[str, Any]], None], what: str) -> Callable[[Any], Any]:
    """A factory of wrappers that look at a call before it is made."""
    guard = guarded(what)

    def factory(original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                look(args, kwargs)
            except Exception as error:
                if not guard.swallows(error):
                    raise
            return original(*args, **kwargs)

        return update_wrapper(wrapper, original)

    return factory


def only_if(condition: Callable[[Any], bool], factory: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A factory whose wrappers cost next to nothing for objects (first arguments) of which a condition is not true."""
    guard = guarded("a traced call")

    def choosing(original: Any) -> Any:
        wrapped = factory(original)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            chosen = False
            try:
                chosen = bool(args) and condition(args[0])
            except Exception as error:
                if not guard.swallows(error):
                    raise
            if chosen:
                return wrapped(*args, **kwargs)
            return original(*args, **kwargs)

        return update_wrapper(wrapper, original)

    return choosing


def replacing(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """A factory of wrappers that hand the original over as the first argument; the function guards itself."""

    def factory(original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        return update_wrapper(wrapper, original)

    return factory
