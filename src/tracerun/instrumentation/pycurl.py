"""pycurl: one CLIENT span for each transfer; libcurl follows redirects by itself.

A handle is asked for nothing that it was told, so what a request is made of is noted as it is set. During a transfer
the handle's headers are the program's and ours.
"""

from __future__ import annotations

import sys
from typing import Any

from tracerun.instrumentation.context import client_suppressed, tracer
from tracerun.instrumentation.http import CURL_VERSIONS, start_http_client
from tracerun.instrumentation.late_span import KEY, Handover, LateSpan
from tracerun.instrumentation.patching import after, argument, around, before

_TRACER = tracer("pycurl")
_CURL: Any = sys.modules["pycurl"]
# What a request is made of, and where a handle keeps that; one handle's notes are copied with it.
_METHODS = {
    _CURL.NOBODY: "HEAD",
    _CURL.UPLOAD: "PUT",
    _CURL.POST: "POST",
    _CURL.POSTFIELDS: "POST",
    _CURL.COPYPOSTFIELDS: "POST",
    _CURL.HTTPPOST: "POST",
}
_NOTED = frozenset((_CURL.URL, _CURL.HTTPHEADER, _CURL.CUSTOMREQUEST, _CURL.HTTPGET, *_METHODS))
_NOTES = "_tracerun_options"
_FIELDS = ("traceparent", "tracestate")


class _Span(LateSpan):
    __slots__ = ()

    def status_of(self, handle: Any) -> int | None:
        return handle.getinfo(_CURL.RESPONSE_CODE) or None

    def version_of(self, handle: Any) -> str | None:
        return CURL_VERSIONS.get(handle.getinfo(_CURL.INFO_HTTP_VERSION))

    def peer_of(self, handle: Any) -> Any:
        return handle.getinfo(_CURL.PRIMARY_IP), handle.getinfo(_CURL.PRIMARY_PORT)


class _Performing(Handover):
    """A transfer that one call makes."""

    def __init__(self, span: LateSpan, handle: Any) -> None:
        super().__init__(span)
        self._handle = handle

    def ended(self, result: Any) -> Any:
        _put_back(self._handle)
        self.span.ended(self._handle)
        return result

    def failed(self, error: BaseException) -> None:
        _put_back(self._handle)
        super().failed(error)


def _note(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    handle, option, value = args
    if option in _NOTED:
        notes = getattr(handle, _NOTES, {})
        if option == _CURL.HTTPGET:
            notes = {noted: kept for noted, kept in notes.items() if noted not in _METHODS}
        setattr(handle, _NOTES, {**notes, option: value})


def _forget(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
    handle, *options = args
    notes = getattr(handle, _NOTES, {})
    setattr(handle, _NOTES, {noted: kept for noted, kept in notes.items() if options and noted not in options})


def _start(handle: Any) -> LateSpan | None:
    if getattr(handle, "tracerun_is_traced", False):  # by tornado's instrumentor
        handle.tracerun_is_traced = False
        return None
    notes = getattr(handle, _NOTES, {})
    url = _text(notes.get(_CURL.URL, ""))
    if client_suppressed() or not url:
        return None
    scheme, separator, _ = url.partition("://")
    if not separator:
        url = f"http://{url}"  # which is libcurl's guess
    elif scheme.lower() not in ("http", "https"):
        return None
    lines = [_text(line) for line in notes.get(_CURL.HTTPHEADER) or ()]
    headers = dict(_pair(line) for line in lines)
    span = start_http_client(_Span, _TRACER, _method(notes), url, headers)
    if not isinstance(span, LateSpan):
        return None
    span.let_go()
    own = [line for line in lines if _pair(line)[0] not in _FIELDS]
    _set(handle, own + [f"{name}: {headers[name]}" for name in _FIELDS if name in headers])
    return span


def _method(notes: dict[int, Any]) -> str:
    custom = notes.get(_CURL.CUSTOMREQUEST)
    return _text(custom) if custom else next((_METHODS[option] for option in _METHODS if notes.get(option)), "GET")


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _set(handle: Any, lines: list[str]) -> None:
    """Sets the handle's headers, past what notes the program's."""
    _CURL.Curl.__base__.setopt(handle, _CURL.HTTPHEADER, lines)


def _put_back(handle: Any) -> None:
    own = getattr(handle, _NOTES, {}).get(_CURL.HTTPHEADER)
    if own:
        _set(handle, own)
    else:
        _CURL.Curl.__base__.unsetopt(handle, _CURL.HTTPHEADER)


def _perform(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
    span = _start(args[0])
    return None if span is None else _Performing(span, args[0])


def _add(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    handle = argument(args, kwargs, 1, "curl")
    span = _start(handle)
    if span is None:
        return None
    setattr(handle, KEY, span)
    return Handover(span)


def _take(handle: Any) -> LateSpan | None:
    span: LateSpan | None = getattr(handle, KEY, None)
    if span is not None:
        setattr(handle, KEY, None)
        _put_back(handle)
    return span


def _read(result: Any, _: tuple[Any, ...], __: dict[str, Any]) -> None:
    _, done, failed = result
    for handle in done:
        span = _take(handle)
        if span is not None:
            span.ended(handle)
    for handle, code, message in failed:
        span = _take(handle)
        if span is not None:
            span.failed(_CURL.error(code, message))


def _remove(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Taken out before it was done, or by a program that does not ask how it ended."""
    handle = argument(args, kwargs, 1, "curl")
    span = _take(handle)
    if span is not None:
        span.ended(handle)


PATCHES = {
    "pycurl:Curl.setopt": after(_note, "pycurl"),
    "pycurl:Curl.unsetopt": after(_forget, "pycurl"),
    "pycurl:Curl.reset": after(_forget, "pycurl"),
    "pycurl:Curl.perform": around(_perform, "pycurl"),
    "pycurl:Curl.perform_rb": around(_perform, "pycurl"),
    "pycurl:Curl.perform_rs": around(_perform, "pycurl"),
    "pycurl:CurlMulti.add_handle": around(_add, "pycurl"),
    "pycurl:CurlMulti.info_read": after(_read, "pycurl"),
    "pycurl:CurlMulti.remove_handle": before(_remove, "pycurl"),
}
