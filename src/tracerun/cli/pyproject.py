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
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"{path}: {error}") from None
    by_key = {setting.key: setting for setting in flagged()}
    for key, value in table.items():
        setting = by_key.get(key)
        if setting is None:
            raise WrongUsage(f"{path}: [tool.tracerun] {key}: unknown; allowed: {', '.join(by_key)}")
        if value is False:
            continue
        text = _text(setting, value)
        checks.check(setting, text, f"{path}: [tool.tracerun] {key} =")
        yield setting, text


def _text(setting: Setting[Any], value: Any) -> str:
    """A TOML value as the variable's text: lists are comma lists, tables are KEY=VALUE."""
    if isinstance(value, dict):
        value = [f"{key}={content}" for key, content in value.items()]
    if setting.multiple:
        return checks.text_of(setting, [str(part) for part in value] if isinstance(value, list) else [str(value)])
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return "true" if value is True else str(value)
