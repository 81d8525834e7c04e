"""What must not stand in a span: credentials in URLs.

Source: semantic conventions for URLs ("sensitive content") name four query keys; services put secrets into
many more.
"""

from __future__ import annotations

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
    name = key.lower().replace("-", "_")
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
