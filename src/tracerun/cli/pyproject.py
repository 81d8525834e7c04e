"""``[tool.tracerun]`` in pyproject.toml: defaults for the same options, by their long names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tracerun.cli import checks
from tracerun.errors import WrongUsage
from tracerun.settings import Setting, flagged

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(path: str) -> Iterator[tuple[Setting[Any], str]]:
    """Each setting of the table with its variable's text; a wrong key or value is refused."""
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file).get("tool", {}).get("tracerun", {})
    except (OSError, ValueError) as error:  # not UTF-8, not TOML
        raise WrongUsage(f"{path}: {error}") from None
    if not isinstance(table, dict):
        raise WrongUsage(f"{path}: tool.tracerun is not a table; allowed: [tool.tracerun]")
    by_key = {setting.key: setting for setting in flagged()}
    for key, value in table.items():
        setting = by_key.get(key)
        if setting is None:
            raise WrongUsage(f"{path}: [tool.tracerun] {key}: unknown; allowed: {', '.join(by_key)}")
        if value is False:
            continue
        place = f"{path}: [tool.tracerun] {key} ="
        text = _text(setting, value, place)
        checks.check(setting, text, place)
        yield setting, text


def _text(setting: Setting[Any], value: Any, place: str) -> str:
    """A TOML value as the variable's text: lists are comma lists, tables are KEY=VALUE."""
    if isinstance(value, dict):
        value = [f"{key}={content}" for key, content in value.items()]
    if setting.multiple:
        values = [str(part) for part in value] if isinstance(value, list) else [str(value)]
        return checks.text_of(setting, values, place)
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return "true" if value is True else str(value)
