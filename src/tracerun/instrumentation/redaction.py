"""What must not stand in a span: credentials in URLs.

Source: semantic conventions for URLs ("sensitive content") name four query keys; services put secrets into
many more.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

REDACTED = "REDACTED"
# Keys whose value is a secret by name, compared in lower case with "-" taken as "_".
SECRET_KEYS = frozenset(
    [
        "access_key",
        "access_token",
        "api_key",
        "apikey",
        "assertion",
        "auth",
        "authorization",
        "awsaccesskeyid",
        "client_secret",
        "code",
        "code_verifier",
        "credential",
        "credentials",
        "device_code",
        "user_code",
        "id_token",
        "jsessionid",
        "jwt",
        "key",
        "key_pair_id",
        "otp",
        "pass",
        "passphrase",
        "passwd",
        "password",
        "phpsessid",
        "private_key",
        "pwd",
        "refresh_token",
        "samlresponse",
        "secret",
        "session",
        "session_id",
        "sessionid",
        "sid",
        "sig",
        "signature",
        "subscription_key",
        "token",
    ]
)
# Signed URLs of the two large object stores.
_SECRET_STARTS = ("x_amz_", "x_goog_")
_SECRET_ENDS = ("_token", "_secret", "_key", "_password", "_passwd", "_signature", "_credential", "_credentials")
# Of names without anything between their words.
_JOINED_ENDS = (
    *("token", "secret", "password", "passwd", "passcode", "passphrase", "apikey", "secretkey", "accesskey"),
    *("privatekey", "signature", "credential", "credentials", "bearer", "_pass", "_pwd", "_assertion", "_verifier"),
    *("_token_hint", "samlrequest", "samlresponse", "ticket"),
)
# Headers that are credentials whole, beside those whose name is that of a secret.
_SECRET_HEADERS = frozenset(["authorization", "proxy_authorization", "cookie", "set_cookie", "x_csrftoken"])


class _More:
    """What the setting ``redact`` adds, written as ``SECRET_KEYS`` are."""

    keys: frozenset[str] = frozenset()


def add_keys(keys: tuple[str, ...]) -> None:
    """Takes more keys for secrets; again replaces what was added before."""
    _More.keys = frozenset(map(_words, keys))
    is_secret.cache_clear()


def _words(key: str) -> str:
    # accessToken, AccessToken and access-token are access_token.
    if not key.islower():
        key = "".join(
            f"_{c}" if c.isupper() and before.islower() else c for before, c in zip(" " + key, key, strict=False)
        ).lower()
    return key.replace("-", "_").replace(".", "_")


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Whether the value behind this key is to be hidden."""
    # user[password][] has three names; blanks and a second quoting are not meant to hide any.
    names = [_words(part.strip(" +]")) for part in unquote(unquote(key)).split("[")]
    return any(_is_secret_name(name.replace(" ", "_").replace("+", "_")) for name in names)


def _is_secret_name(name: str) -> bool:
    named = name in SECRET_KEYS or name in _More.keys
    return named or name.startswith(_SECRET_STARTS) or name.endswith(_SECRET_ENDS) or name.endswith(_JOINED_ENDS)


def is_secret_header(name: str) -> bool:
    """Whether the value of this header, or entry of metadata, is to be hidden."""
    return _words(name) in _SECRET_HEADERS or is_secret(name)


def query(text: str) -> str:
    """A query string with the values of secret keys replaced; everything else stays as it was sent."""
    if "=" not in text:
        return text
    if ";" in text:  # a separator too, for some
        return ";".join(map(_query, text.split(";")))
    return _query(text)


def _query(text: str) -> str:
    parts = text.split("&")
    for index, part in enumerate(parts):
        key, equals, value = part.partition("=")
        if equals and (is_secret(_unquoted(key)) or _holds_secret(value)):
            parts[index] = f"{key}={REDACTED}"
    return "&".join(parts)


def _holds_secret(value: str) -> bool:
    """Whether a value is a URL, quoted or not, or a query with a secret in it: where to go after a login."""
    if "=" not in value and "%" not in value and "@" not in value:
        return False
    for _ in range(_MOST_QUOTED):
        plain = _unquoted(value)
        if f"?{plain}" != text(f"?{plain}"):
            return True
        if plain == value:
            return False
        value = plain
    return False


def _unquoted(key: str) -> str:
    if "%" not in key:
        return key
    from urllib.parse import unquote  # noqa: PLC0415 - a key is rarely quoted

    return unquote(key)


def url(text: str) -> str:
    """A URL without userinfo and fragment, and with its path and query redacted."""
    head, question, tail = text.partition("#")[0].partition("?")
    scheme, found, rest = head.partition("://")
    if found and ("@" in rest or ":" in rest):
        authority, slash, path = rest.partition("/")
        if not _is_authority(authority):
            return f"{scheme}://{REDACTED}"
        if "@" in authority:
            authority = f"{REDACTED}:{REDACTED}@{authority.rpartition('@')[2]}"
        head = f"{scheme}://{authority}{slash}{_path(path)}"
    elif ";" in head:
        head = _path(head)
    return f"{head}?{query(tail)}" if question else head


def _is_authority(text: str) -> bool:
    """Whether a port is one: in ``user:pa/ss@host`` it is half of a password."""
    _, colon, port = text.rpartition(":")
    return not colon or not port or port.isdigit() or port.endswith("]") or "@" in port


def path(text: str) -> str:
    """The path of a request; as a target it may be a whole URL, and its parameters may be secrets (RFC 3986, 3.3)."""
    return url(text) if "://" in text else _path(text)


def _path(text: str) -> str:
    return _pairs(text) if ";" in text or "%3" in text else text


# As text, and compiled at the first use: together they would take two milliseconds of each start.
_USERINFO = r"(?<=://)[^/\s@\"'<>]+(?:/[^/\s@\"'<>]*)?@"
_FRAGMENT = r"(\w+://[^\s#\"'<>]*)#[^\s\"'<>)\]},]*"
# The signs around a pair may be quoted.
_PAIR = r"([?&;]|%3[BbFf]|%26)([\w.%\[\]-]+?)(=|%3[Dd])([^&;\s\"'<>)\]}]+)"
_BARE_PAIR = r"(^|[\s\"'(,{])([\w.%\[\]-]+)(=)([^&;\s\"'<>)\]}]+)"
_CREDENTIALS = r"\b(Bearer|[Aa]uthorization\W{1,4}\w+|Basic(?= [\w+/]*[\d=])) [\w.~+/=-]{6,}"
_compiled = lru_cache(maxsize=None)(re.compile)
# How often a URL within a URL within a URL is unquoted.
_MOST_QUOTED = 3


def text(message: str) -> str:
    """Any text with the URLs in it redacted: exceptions quote the URL that failed."""
    if "://" in message:
        message = _compiled(_FRAGMENT).sub(rf"\1#{REDACTED}", _compiled(_USERINFO).sub(f"{REDACTED}@", message))
    if "=" in message or "%" in message:
        message = _pairs(message)
    return _compiled(_CREDENTIALS).sub(rf"\1 {REDACTED}", message)


def message_of(error: BaseException) -> str:
    """An exception's own text: unlike lines of source code, any ``token=...`` in it is the value of a secret."""
    return message(text_of(error))


def message(said: str) -> str:
    """The same of any text that is about data, and no source code."""
    said = text(said)
    return _compiled(_BARE_PAIR).sub(_pair, said) if "=" in said else said


def text_of(error: BaseException) -> str:
    """What an exception says; nothing where its own text fails, as it is an error to report still."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the program's code
        return ""


def described(error: BaseException) -> str:
    """An exception's class and text, as the status of a span has them."""
    said = message_of(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _pairs(message: str) -> str:
    return _compiled(_PAIR).sub(_pair, message)


def _pair(found: re.Match[str]) -> str:
    before, key, equals, value = found.groups()
    return f"{before}{key}{equals}{REDACTED}" if is_secret(_unquoted(key)) or _holds_secret(value) else found[0]
