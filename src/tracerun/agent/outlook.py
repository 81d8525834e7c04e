"""Settings under which nothing will be exported: one line at the start says so, and why.

Loaded only where a setting is there that may mean it. What shows later is said later: an SDK that does not fit at the
first use, a receiver that is away at the first send.
"""

from __future__ import annotations

from tracerun.agent import guard, names
from tracerun.agent.configuring import can_be_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracerun.settings import Settings


def tell(settings: Settings) -> None:
    """Says the first reason there is, if there is one."""
    sampler = _sampler_that_is_off(settings)
    if settings.exporter == ("none",):
        line = "nothing is exported: the exporter is none (--exporter, OTEL_TRACES_EXPORTER)"
        guard.say(line, slug="exporter-none")
    elif sampler.startswith("parentbased"):
        line = f"nothing is exported but what sampled callers have begun: the sampler is {sampler}"
        guard.say(f"{line} (--sampler, OTEL_TRACES_SAMPLER)", slug="sampler-off")
    elif sampler:
        line = f"nothing is exported: the sampler is {sampler} (--sampler, OTEL_TRACES_SAMPLER)"
        guard.say(line, slug="sampler-off")
    elif names.wants_none(settings) and not settings.root_span:
        line = "nothing is traced but spans that the program makes itself: every library is left out"
        guard.say(f"{line} by {_leaving_out(settings)}", slug="all-disabled")
    elif settings.exporter == ("file",) and not can_be_written(settings.state_directory):
        guard.say(f"nothing is exported: {_why_no_files(settings.state_directory)}", slug="no-folder")


def _sampler_that_is_off(settings: Settings) -> str:
    """The sampler, where it samples nothing that begins here; empty where it does."""
    name, _, argument = settings.sampler.partition(":")
    argument = argument or settings.sampler_argument
    if name.endswith("always_off"):
        return name
    if name in ("traceidratio", "parentbased_traceidratio") and argument and float(argument) == 0:
        return f"{name} with the ratio {argument}"
    return ""


def _leaving_out(settings: Settings) -> str:
    return "--disable (OTEL_PYTHON_DISABLED_INSTRUMENTATIONS)" if "*" in settings.disable else "--only (TRACERUN_ONLY)"


def _why_no_files(folder: str) -> str:
    if not folder:
        return "no home folder is known to keep span files in; set TRACERUN_DIR"
    return f"span files cannot be written in {folder}; set TRACERUN_DIR, or an endpoint (-e)"
