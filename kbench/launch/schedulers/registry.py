"""The schedulers by the names that a site's ``launcher`` gives them: a line for each."""

import importlib
import os
import sys
from collections.abc import Mapping

from kbench.config.parse import did_you_mean, parse
from kbench.config.site import Site
from kbench.config.yaml_source import Source
from kbench.errors import LaunchError
from kbench.launch.schedulers.base import JobEnvironment, Scheduler
from kbench.launch.schedulers.commands import Commands
from kbench.launch.schedulers.slurm import Slurm

SCHEDULERS: dict[str, type[Scheduler]] = {
    scheduler.name: scheduler
    for scheduler in (
        Slurm,  # first: jobs of its imitation of qsub have the variables of PBS as well
        Commands,
    )
}
WITHOUT_SCHEDULER = ("local", "mpirun")  # launchers that start runs as processes of this machine


def is_scheduler(launcher: str | None) -> bool:
    """Whether a launcher is a scheduler: a registered one, or ``package.module:Class``."""
    return launcher is not None and (launcher in SCHEDULERS or ":" in launcher)


def scheduler_class(launcher: str) -> type[Scheduler]:
    """The class of a scheduler; raises LaunchError when it cannot be loaded."""
    if launcher in SCHEDULERS:
        return SCHEDULERS[launcher]
    module, _, name = launcher.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as python -m does; an installed script does not
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module from elsewhere may raise anything while it is imported
        raise LaunchError(
            f"launcher {launcher!r} cannot be loaded: {type(error).__name__}: {error}",
            hint="name it as package.module:Class, and put the folder of its module on PYTHONPATH",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Scheduler)):
        raise LaunchError(f"launcher {launcher!r} is no class derived from kbench.launch.schedulers.base.Scheduler")
    return found


def default_scheduler() -> str | None:
    """The scheduler that ``launcher: auto`` takes on this machine; None without one."""
    return next((name for name, scheduler in SCHEDULERS.items() if scheduler.is_up()), None)


def launcher_names() -> list[str]:
    """What a site's ``launcher`` and ``--launcher`` may be, ``package.module:Class`` of a scheduler apart."""
    return ["auto", *WITHOUT_SCHEDULER, *SCHEDULERS]


class Launchers:
    """Checks what a site says of its launcher: the context of a site's validation, which knows no scheduler."""

    def launcher_problem(self, launcher: str) -> str:
        """What is wrong with the name of a launcher, as a sentence; empty when nothing."""
        known = launcher_names()
        if launcher in known or ":" in launcher:
            return ""
        *others, last = map(repr, known)
        hint = did_you_mean(launcher, known, strict=True)
        return f"must be {', '.join(others)} or {last}, got {launcher!r}{hint}"

    def site_problem(self, site: Site) -> str:
        """What a site lacks for its launcher, as a sentence; empty when nothing."""
        if not is_scheduler(site.launcher):
            return ""
        try:
            problem = scheduler_class(site.launcher).site_problem(site)
        except LaunchError as error:
            return error.message
        return f"launcher {site.launcher!r} {problem}" if problem else ""


def parse_site(source: Source) -> Site:
    """Validate a site file; raises ConfigError with all that is wrong."""
    return parse(Site, source, context=Launchers())


def current_job(launcher: str | None = None, environ: Mapping[str, str] = os.environ) -> JobEnvironment:
    """Read from the environment which job this process is part of.

    ``launcher`` is the one that submitted it: needed where that is ``package.module:Class``.
    """
    classes = list(SCHEDULERS.values())
    if launcher and is_scheduler(launcher) and launcher not in SCHEDULERS:
        classes.insert(0, scheduler_class(launcher))
    found = (scheduler.job_environment(environ) for scheduler in classes)
    return next((job for job in found if job), JobEnvironment())
