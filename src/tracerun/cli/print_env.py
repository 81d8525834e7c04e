"""``--print-env``: what the launcher would put into the environment, quoted for where it is to be pasted."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracerun.cli import isolation
from tracerun.cli.execute import child_env, find
from tracerun.errors import TracerunError, say
from tracerun.settings import TABLE, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Marks of one run. The agent makes its own where there are none, so that what is pasted is good for many.
OF_ONE_RUN = ("TRACERUN_PID", "TRACERUN_RUN", "TRACERUN_TARGET")
# The command may be in an image that this machine does not have.
ELSEWHERE = ("docker", "compose", "k8s")
MASK = "***"
# What lies in a URL's path is shown, but for segments as long as a key.
_LONGEST_SHOWN_SEGMENT = 20


def print_env(
    form: str, words: list[str], before: Mapping[str, str], env: dict[str, str], chosen: Iterable[str], *, reveal: bool
) -> str:
    """The text to paste.

    Args:
        form: One of ``FORMATS``.
        words: The command; may be empty.
        before: The environment of the launcher.
        env: The same with what options and pyproject.toml have set.
        chosen: The variables that these have set, also where they were set so before.
        reveal: Whether secrets are shown.
    """
    settings = Settings.from_env(env)
    after = env
    if settings.off:
        say(f"nothing is traced: {settings.off}", slug="switched-off")
    else:
        _warn(form, words, env, settings)
        after = child_env(env, words or ["python"])
        chosen = {*chosen, "PYTHONPATH"}
    shown = {
        name: value
        for name, value in sorted(after.items())
        if name not in OF_ONE_RUN and (name in chosen or before.get(name) != value)
    }
    gone = [name for name in sorted(before) if name not in after or name in OF_ONE_RUN]
    return FORMATS[form](shown if reveal else _without_secrets(shown), gone)


def _warn(form: str, words: list[str], env: Mapping[str, str], settings: Settings) -> None:
    """Says what the launcher would say of a command."""
    if not words:
        return
    try:
        path = find(words[0], env.get("PATH", os.defpath))
    except TracerunError:
        if form in ELSEWHERE:
            return
        raise
    isolation.check(path, words, strict=settings.strict)


def _without_secrets(variables: dict[str, str]) -> dict[str, str]:
    """What may be shown to whoever looks on: a masked value would be pasted, and sent as if it were the secret."""
    hidden = [name for name, value in variables.items() if masked(name, value) != value]
    if hidden:
        say(f"left out, for the secrets in them: {', '.join(hidden)}; --reveal prints them", slug="secrets-left-out")
    return {name: value for name, value in variables.items() if name not in hidden}


def masked(variable: str, value: str) -> str:
    """A variable's value without its secrets: headers without values, URLs without credentials and keys."""
    setting = next((setting for setting in TABLE if variable in setting.variables), None)
    if setting is None or not setting.secret:
        return value
    if setting.name == "headers":
        # Without a "=" the whole of it may be the secret.
        return ",".join(f"{pair.partition('=')[0]}={MASK}" if "=" in pair else MASK for pair in value.split(","))
    return _masked_url(value)


def _masked_url(url: str) -> str:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    path = "/".join(MASK if len(part) >= _LONGEST_SHOWN_SEGMENT else part for part in parts.path.split("/"))
    scheme = f"{parts.scheme}://" if parts.scheme else "//" if url.startswith("//") else ""
    credentials = f"{MASK}@" if "@" in parts.netloc else ""
    query = f"?{MASK}" if parts.query else ""
    return f"{scheme}{credentials}{host}{path}{query}{f'#{MASK}' if parts.fragment else ''}"


def _shell(variables: dict[str, str], gone: list[str]) -> str:
    lines = [f"unset {name}\n" for name in gone if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
    return "".join(lines + [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()])


def _docker(variables: dict[str, str], _: list[str]) -> str:
    """Options of ``docker run``; each line but the last goes on in the next."""
    return " \\\n".join(f"-e {shlex.quote(f'{name}={value}')}" for name, value in variables.items()) + "\n"


def _compose(variables: dict[str, str], _: list[str]) -> str:
    return "environment:\n" + "".join(f"  {name}: {_yaml(_undollared(value))}\n" for name, value in variables.items())


def _k8s(variables: dict[str, str], _: list[str]) -> str:
    entries = (f"  - name: {name}\n    value: {_yaml(_undollared(value))}\n" for name, value in variables.items())
    return "env:\n" + "".join(entries)


def _json(variables: dict[str, str], _: list[str]) -> str:
    return json.dumps(variables, indent=2) + "\n"


def _undollared(value: str) -> str:
    """Compose and Kubernetes put variables in for ``$``; two of them are one that stays."""
    return value.replace("$", "$$")


def _yaml(value: str) -> str:
    """A double-quoted scalar (YAML 1.2, 7.3.1): in ASCII alone, so that every reader takes it."""
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if 0x20 <= code < 0x7F:  # noqa: PLR2004 - printable ASCII
        return character
    if code <= 0xFF:  # noqa: PLR2004 - as many digits as each escape has
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


FORMATS: dict[str, Callable[[dict[str, str], list[str]], str]] = {
    "shell": _shell,
    "docker": _docker,
    "compose": _compose,
    "k8s": _k8s,
    "json": _json,
}
