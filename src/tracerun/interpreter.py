"""What a Python command line says, by the interpreter's own rules for its options.

Source: CPython, Python/getopt.c and "Command line and environment".
"""

import os

_PREFIXES = ("python", "pypy")
# What may follow in the name of an interpreter: 3.13t, w, 2.7-dbg, .exe.
_SUFFIX = frozenset("0123456789.-twdbgexe")
# Options whose value is the rest of the word, or the next one.
_WITH_VALUE = "WXQ"
_LONG_WITH_VALUE = "--check-hash-based-pycs"
# Options of env that take the next word.
_ENV_WITH_VALUE = ("-u", "--unset", "-C", "--chdir")
_LONGEST_FIRST_LINE = 512


def is_python(command: str) -> bool:
    """Whether a command's name is that of an interpreter."""
    name = os.path.basename(command)
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    return bool(prefix) and _SUFFIX.issuperset(name[len(prefix) :])


def options(words: list[str]) -> tuple[str, str, list[str]]:
    """The letters of an interpreter's options; ``m``, ``c`` or nothing; and the words from the program on.

    Args:
        words: What follows the interpreter.
    """
    letters, rest = "", list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word, rest = rest[0], rest[1:]
        if word == "--":
            break
        if word.startswith("--"):
            rest = rest[1:] if word == _LONG_WITH_VALUE else rest
            continue
        for index, letter in enumerate(word[1:], 2):
            value = [word[index:]] if word[index:] else []
            if letter in "mc":
                return letters, letter, value + rest
            if letter in _WITH_VALUE:
                rest = rest if value else rest[1:]
                break
            letters += letter
    return letters, "", rest


def behind(path: str, words: list[str]) -> list[str]:
    """The words of the Python command line that a command comes down to; none where it is no Python.

    Args:
        path: The command's file, whose first line may name an interpreter.
        words: The command as it was typed.
    """
    if is_python(words[0]):
        return words
    if os.path.basename(words[0]) == "env":
        return _behind_env(words[1:])
    first = _first_line(path)
    if not first:
        return []
    if os.path.basename(first[0]) == "env":
        first = _behind_env(first[1:])
    return [*first, path] if first and is_python(first[0]) else []


def _behind_env(words: list[str]) -> list[str]:
    """What env runs, if that is Python: behind its options and the variables that it sets."""
    while words and (words[0].startswith("-") or "=" in words[0]):
        word, words = words[0], words[1:]
        if word in _ENV_WITH_VALUE:
            words = words[1:]
        elif word in ("-S", "--split-string"):
            words = [*words[0].split(), *words[1:]] if words else []
        elif word.startswith("-S"):
            words = [*word[2:].split(), *words]
    return words if words and is_python(words[0]) else []


def _first_line(path: str) -> list[str]:
    """The words of a script's first line; none where it names no interpreter."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_LONGEST_FIRST_LINE)
    except OSError:
        return []
    return os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
