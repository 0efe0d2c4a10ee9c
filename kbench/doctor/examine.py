"""All that kbench doctor looks at, in the order in which it is printed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from kbench.doctor.data import data
from kbench.doctor.devices import devices
from kbench.doctor.folders import folders
from kbench.doctor.machine import container, machine, software
from kbench.doctor.mpi import mpi, network
from kbench.doctor.need import Need
from kbench.doctor.schedulers import SCHEDULERS
from kbench.launch.diagnosis import Finding, warning

Check = Callable[[Need], Iterable[Finding]]
CHECKS: dict[str, Check] = {
    "software": software,
    "devices": devices,
    "machine": machine,
    "mpi": mpi,
    **SCHEDULERS,
    "container": container,
    "data": data,
    "folders": folders,
    "network": network,
}


def examine(need: Need) -> Iterator[Finding]:
    """Make all checks at once and give their findings in order; most of the time is spent on waiting for programs."""
    yield need.chosen
    with ThreadPoolExecutor(max_workers=len(CHECKS)) as pool:
        for found in pool.map(lambda name: findings(name, CHECKS[name], need), CHECKS):
            yield from found


def findings(name: str, check: Check, need: Need) -> list[Finding]:
    """What one check finds; a machine that answers in an unknown way must not hide what the others find."""
    try:
        return list(check(need))
    except Exception as error:
        remedy = "please report it: kbench did not understand this machine"
        return [warning(name, f"{type(error).__name__}: {error}", remedy)]
