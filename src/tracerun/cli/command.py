"""The command line with options, by click: parsed, checked, put into the environment, launched."""

from __future__ import annotations

import os
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from tracerun import __version__
from tracerun.cli import checks, pyproject
from tracerun.cli.execute import execute
from tracerun.cli.launch import nearest_table
from tracerun.environment import environment
from tracerun.errors import WrongUsage, say
from tracerun.settings import Setting, Settings, flagged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from click.shell_completion import CompletionItem

INSTEAD = "Instead of running COMMAND (--format json goes with --check, --list-instrumentations and --status):"
EPILOG = """Settings come from options, then variables, then [tool.tracerun] in pyproject.toml, then the default.
Nothing after COMMAND is read. Example: tracerun -n shop -e http://localhost:4318 python app.py"""


class Command(click.Command):
    """A command that prints its help on one screen."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Settings with the variable beside each; then the commands, two in a line."""
        formatter.width = 110
        formatter.write("Usage: tracerun [OPTIONS] COMMAND [ARGS]...\n")
        formatter.write("Runs a Python program unchanged and traces its HTTP and gRPC calls.\n\n")
        shown = [option for option in self.get_params(ctx) if isinstance(option, click.Option) and not option.hidden]
        settings = [option for option in shown if option.name in VARIABLES]
        _write(formatter, [(_names(option), VARIABLES[option.name or ""], option.help or "") for option in settings])
        formatter.write(f"{INSTEAD}\n")
        others = [(_names(option), option.help or "") for option in shown if option not in settings]
        half = (len(others) + 1) // 2
        pairs = zip_longest(others[:half], others[half:], fillvalue=("", ""))
        _write(formatter, [(*left, *right) for left, right in pairs])
        formatter.write("\n" + EPILOG + "\n")


def _write(formatter: click.HelpFormatter, rows: list[tuple[str, ...]]) -> None:
    """Rows of as many cells each, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        formatter.write(f"  {'  '.join(cells)}".rstrip() + "\n")


def _names(option: click.Option) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    return names + (f" {option.metavar}" if option.metavar and not option.is_flag else "")


def _values(_: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell that asks."""
    from tracerun.cli.completion import values  # noqa: PLC0415 - then only

    return values(option.name or "", incomplete)


def _commands(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from tracerun.cli.completion import commands  # noqa: PLC0415 - as above

    return commands(incomplete)


def _options(function: Callable[..., int]) -> Callable[..., int]:
    """One click option for each setting that has one, from the table."""
    for setting in reversed(list(flagged())):
        function = click.option(
            *setting.flag.split(","),
            setting.name,
            metavar=setting.metavar or None,
            is_flag=not setting.metavar,
            multiple=setting.multiple,
            default=None,
            help=setting.help,
            shell_complete=_values,
        )(function)
    return function


def _shown_variable(setting: Setting[Any]) -> str:
    return next((name for name in reversed(setting.variables) if name.startswith("OTEL_")), setting.variables[0])


# Shown beside the options. Not click's `envvar`: it would take a variable for a flag, and a wrong flag is refused.
VARIABLES = {setting.name: _shown_variable(setting) for setting in flagged()}
# The commands of which a run has one.
COMMANDS = ("show", "list_instrumentations", "check", "status", "print_env")
# An option that means something with some commands only: its name, the option, those commands.
BELONGING = (
    ("verbose", "--verbose", ("show",)),
    ("everything", "--all", ("list_instrumentations",)),
    ("form", "--format", ("list_instrumentations", "check", "status")),
    ("reveal", "--reveal", ("print_env",)),
)


@click.command(
    cls=Command,
    context_settings={"allow_interspersed_args": False, "help_option_names": ["--help"], "auto_envvar_prefix": None},
)
@_options
@click.option("--check", is_flag=True, help="Would a trace arrive?")
@click.option("--list-instrumentations", is_flag=True, help="What is traced. [--all]")
@click.option(
    "--print-env", is_flag=False, flag_value="shell", metavar="[FORMAT]", shell_complete=_values,
    help="shell docker compose k8s json [--reveal]",
)  # fmt: skip
@click.option("--status", metavar="PID", help="The report of a running process.")
@click.option(
    "--show", is_flag=False, flag_value="last", metavar="[TRACE_ID]", help="Draw a trace. [last]",
    shell_complete=_values,
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="With --show: all.")
@click.option("--all", "everything", is_flag=True, hidden=True)
@click.option("--format", "form", type=click.Choice(["table", "json"]), hidden=True)
@click.option("--reveal", is_flag=True, hidden=True)
@click.version_option(__version__, message="tracerun %(version)s", help="Show the version.")
@click.help_option("--help", help="Show this page.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [ARGS]...", shell_complete=_commands)
def _command(words: tuple[str, ...], **options: Any) -> int:
    _check_belonging(options)
    if options["show"] is not None:
        return _show(options["show"], words, verbose=options["verbose"])
    if options["list_instrumentations"]:
        return _list(list(words), options)
    if options["check"]:
        return _check(list(words), options)
    if options["status"] is not None:
        return _status(options)
    if options["print_env"] is not None:
        return _print_env(list(words), options)
    if not words:
        click.echo(click.get_current_context().get_help())
        return WrongUsage("").exit_code
    execute(list(words), _with_options(options))
    return 0


def _check_belonging(options: dict[str, Any]) -> None:
    """Refuses an option of a command that is not given, and a second command."""
    given = [command for command in COMMANDS if options[command]]
    if len(given) > 1:
        raise WrongUsage(f"{' and '.join(map(_flag, given))} do not go together: one of them at a time")
    for name, flag, commands in BELONGING:
        if options[name] and not set(commands) & set(given):
            raise WrongUsage(f"{flag} goes with {' or '.join(map(_flag, commands))}")


def _flag(command: str) -> str:
    return f"--{command.replace('_', '-')}"


def _list(words: list[str], options: dict[str, Any]) -> int:
    from tracerun.cli.instrumentations import list_them  # noqa: PLC0415 - each command loads its own

    sources = {setting.variables[-1]: f"[tool.tracerun] {setting.key}" for setting, _ in _of_table(environment())}
    sources |= {setting.variables[-1]: f"--{setting.key}" for setting, _ in _of_options(options)}
    as_json = options["form"] == "json"
    return list_them(words, _with_options(options), sources, everything=options["everything"], as_json=as_json)


def _check(words: list[str], options: dict[str, Any]) -> int:
    from tracerun.cli.check.run import check  # noqa: PLC0415 - as above

    env = dict(environment())
    sources: dict[str, str] = {}
    table, given = _of_table(env), _of_options(options)
    for place, pairs in (("[tool.tracerun] ", table), ("--", given)):
        for setting, text in pairs:
            _set(env, setting, text)
            sources |= dict.fromkeys(checks.variables_of(setting, text), f"{place}{setting.key}")
    return check(words, env, sources, [setting for setting, _ in given], as_json=options["form"] == "json")


def _status(options: dict[str, Any]) -> int:
    from tracerun.cli.status import status  # noqa: PLC0415 - as above

    return status(options["status"], as_json=options["form"] == "json")


def _print_env(words: list[str], options: dict[str, Any]) -> int:
    from tracerun.cli.print_env import FORMATS, print_env  # noqa: PLC0415 - as above

    form, before = options["print_env"], dict(environment())
    if form not in FORMATS:
        raise WrongUsage(f"--print-env {form}: allowed: {', '.join(FORMATS)}; a command follows after --")
    chosen: dict[str, str] = {}
    for setting, text in (*_of_table(before), *_of_options(options)):
        _set(chosen, setting, text)
    text = print_env(form, words, before, _with_options(options), chosen, reveal=options["reveal"])
    sys.stdout.buffer.write(os.fsencode(text))
    return 0


def _with_options(options: dict[str, Any]) -> dict[str, str]:
    """The environment with the options and the pyproject table in it, checked."""
    env = dict(environment())
    given = _of_options(options)
    for setting, text in (*_of_table(env), *given):
        _set(env, setting, text)
    checks.check_together(Settings.from_env(env), [setting for setting, _ in given])
    return env


def _of_table(env: Mapping[str, str]) -> list[tuple[Setting[Any], str]]:
    """What the pyproject table sets, where the environment does not."""
    table = nearest_table()
    read = pyproject.read(table) if table else ()
    return [
        (setting, text)
        for setting, text in read
        if not any(env.get(variable, "").strip() for variable in setting.variables)
    ]


def _of_options(options: dict[str, Any]) -> list[tuple[Setting[Any], str]]:
    """What the options set, checked."""
    given = []
    for setting in flagged():
        value = options[setting.name]
        if value not in (None, (), False):
            flag = setting.flag.rpartition(",")[2]
            text = checks.text_of(setting, value, flag)
            checks.check(setting, text, flag)
            given.append((setting, text))
    return given


def _set(env: dict[str, str], setting: Setting[Any], text: str) -> None:
    """Puts one value into the environment, under the name that says it, and takes away what would hide it."""
    for variable in (*setting.variables, *checks.STRONGER.get(setting.name, ())):
        env.pop(variable, None)
    env.update(checks.variables_of(setting, text))


def _show(which: str, words: tuple[str, ...], *, verbose: bool) -> int:
    from tracerun.viewer.show import show  # noqa: PLC0415 - each command loads its own

    # `--show ID` and `--show=ID` alike; click takes a word behind an optional value for the command.
    if len(words) > (which == "last"):
        raise WrongUsage(f"--show takes one trace, not also: {' '.join(words[which == 'last' :])}")
    return show(Settings.from_env().state_directory, words[0] if words else which, verbose=verbose)


def _cannot_print(error: OSError) -> NoReturn:
    """Standard output is full or closed. Who has closed a pipe (``tracerun --show | head``) knows it."""
    if not isinstance(error, BrokenPipeError):
        say(f"the output cannot be written: {error.strerror}", slug="output-not-written")
    os._exit(1)  # the interpreter would try once more, and complain


def run(words: list[str]) -> None:
    """Parses the words and acts on them; ends the process."""
    if "_TRACERUN_COMPLETE" in environment():
        from tracerun.cli import completion  # noqa: PLC0415 - where a shell asks

        completion.install()
    try:
        status = _command.main(args=words, prog_name="tracerun", standalone_mode=False)
        sys.stdout.flush()
    except OSError as error:
        _cannot_print(error)
    except click.ClickException as error:
        raise WrongUsage(f"{error.format_message().rstrip('.')} (see tracerun --help)") from None
    except click.Abort:
        os._exit(130)
    sys.exit(status if isinstance(status, int) else 0)
