"""``import tracerun.auto`` on a program's first line does what the launcher does.

For notebooks, debuggers, frozen programs and interpreters that ignore PYTHONPATH. Child processes are traced
as the setting ``children`` says. Libraries that are imported already are traced too, with the applications
that they have made. Under the launcher, and the second time, it is nothing.
"""

from __future__ import annotations

import os

from tracerun.agent import guard
from tracerun.agent.boot import Process, boot
from tracerun.environment import environment
from tracerun.injection import FOLDER, add_folder, mark
from tracerun.settings import Settings


def _start() -> None:
    if Process.traced:
        return
    env = environment()
    settings = Settings.from_env()
    if settings.off:
        if not Process.booted:  # else it was said at the start
            guard.say(f"nothing is traced: {settings.off}", slug="switched-off")
        return
    mark(env)
    if settings.site:  # in a child of a traced program: where the launcher has OpenTelemetry
        env.setdefault("TRACERUN_SITE", settings.site)
    if settings.children != "none" and os.path.isdir(FOLDER):  # in a frozen program or an archive there is none
        add_folder(env)
    Process.booted = False  # in a child of a traced program, boot may have been here, and passed it over
    boot(FOLDER, at_once=True)
    with guard.guarded("tracerun.auto"):
        from tracerun.agent.libraries import activate_servers  # noqa: PLC0415 - boot decides whether it is needed

        activate_servers()


_start()
