"""All that kbench doctor looks at, in the order in which it is printed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from kbench.doctor.data import data
from kbench.doctor.devices import devices
from kbench.doctor.folders import folders
from kbench.doctor.machine import container, machine, software
from kbench.doctor.mpi import mpi, network
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, warning
from kbench.launch.schedulers.registry import SCHEDULERS, is_scheduler, scheduler_class

Check = Callable[[Need], Iterable[Finding]]


def _scheduler_check(launcher: str) -> Check:
    return lambda need: scheduler_class(launcher).diagnose(need.site, needed=need.launcher == launcher)


def checks(need: Need) -> dict[str, Check]:
    """All checks by their names; the schedulers are those that kbench knows, and the site's own."""
    launchers = dict.fromkeys([*SCHEDULERS, *([need.launcher] if is_scheduler(need.launcher) else [])])
    return {
        "software": software,
        "devices": devices,
        "machine": machine,
        "mpi": mpi,
        **{launcher: _scheduler_check(launcher) for launcher in launchers},
        "container": container,
        "data": data,
        "folders": folders,
        "network": network,
    }


def examine(need: Need) -> Iterator[Finding]:
    """Make all checks at once and give their findings in order; most of the time is spent on waiting for programs."""
    yield need.chosen
    every = checks(need)
    with ThreadPoolExecutor(max_workers=len(every)) as pool:
        for found in pool.map(lambda name: findings(name, every[name], need), every):
            yield from found


def findings(name: str, check: Check, need: Need) -> list[Finding]:
    """What one check finds; a machine that answers in an unknown way must not hide what the others find."""
    try:
        return list(check(need))
    except Exception as error:
        remedy = "please report it: kbench did not understand this machine"
        return [warning(name, f"{type(error).__name__}: {error}", remedy)]
