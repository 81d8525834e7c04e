"""What must not stand in a span: credentials in URLs.

Source: semantic conventions for URLs ("sensitive content") name four query keys; services put secrets into
many more.
"""

from __future__ import annotations

import re

REDACTED = "REDACTED"
# Keys whose value is a secret by name, compared in lower case with "-" taken as "_".
SECRET_KEYS = frozenset(
    [
        "access_key",
        "access_token",
        "api_key",
        "apikey",
        "auth",
        "authorization",
        "awsaccesskeyid",
        "client_secret",
        "code",
        "code_verifier",
        "credential",
        "credentials",
        "id_token",
        "jwt",
        "key",
        "key_pair_id",
        "pass",
        "passwd",
        "password",
        "private_key",
        "pwd",
        "refresh_token",
        "secret",
        "session",
        "session_id",
        "sessionid",
        "sid",
        "sig",
        "signature",
        "subscription_key",
        "token",
        "x_amz_credential",
        "x_amz_security_token",
        "x_amz_signature",
        "x_goog_credential",
        "x_goog_signature",
    ]
)
_SECRET_ENDS = ("_token", "_secret", "_key", "_password", "_signature", "_credential")


def is_secret(key: str) -> bool:
    """Whether the value behind this key is to be hidden."""
    # accessToken, AccessToken and access-token are access_token.
    words = "".join(
        f"_{c}" if c.isupper() and before.islower() else c for before, c in zip(" " + key, key, strict=False)
    )
    name = words.lower().replace("-", "_")
    return name in SECRET_KEYS or name.endswith(_SECRET_ENDS)


def query(text: str) -> str:
    """A query string with the values of secret keys replaced; everything else stays as it was sent."""
    if "=" not in text:
        return text
    parts = text.split("&")
    for index, part in enumerate(parts):
        key, equals, _ = part.partition("=")
        if equals and is_secret(_unquoted(key)):
            parts[index] = f"{key}={REDACTED}"
    return "&".join(parts)


def _unquoted(key: str) -> str:
    if "%" not in key:
        return key
    from urllib.parse import unquote  # noqa: PLC0415 - a key is rarely quoted

    return unquote(key)


def url(text: str) -> str:
    """A URL without userinfo and fragment, and with its query redacted."""
    head, question, tail = text.partition("#")[0].partition("?")
    scheme, found, rest = head.partition("://")
    if found and "@" in rest.partition("/")[0]:
        authority, slash, path = rest.partition("/")
        head = f"{scheme}://{REDACTED}:{REDACTED}@{authority.rpartition('@')[2]}{slash}{path}"
    return f"{head}?{query(tail)}" if question else head


_USERINFO = re.compile(r"(://)[^/\s@\"'<>]+@")
_PAIR = re.compile(r"([?&;])([\w.%-]+)=([^&;\s\"'<>)\]}]+)")


def text(message: str) -> str:
    """Any text with the URLs in it redacted: exceptions quote the URL that failed."""
    message = _USERINFO.sub(rf"\1{REDACTED}@", message)
    return _PAIR.sub(lambda pair: f"{pair[1]}{pair[2]}={REDACTED}" if is_secret(pair[2]) else pair[0], message)
