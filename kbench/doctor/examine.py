"""All that the doctor looks at, in the order in which it is told."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from kbench.doctor.data import data
from kbench.doctor.devices import devices
from kbench.doctor.folders import folders
from kbench.doctor.machine import container, machine, software
from kbench.doctor.mpi import mpi, network
from kbench.doctor.need import Item, Need, warning
from kbench.doctor.schedulers import queues, slurm

Look = Callable[[Need], Iterable[Item]]
LOOKS: tuple[Look, ...] = (software, devices, machine, mpi, slurm, queues, container, data, folders, network)


def examine(need: Need) -> Iterator[Item]:
    """Look at everything at once, and tell it in order; most of the time is spent on waiting for programs."""
    yield need.chosen
    with ThreadPoolExecutor(max_workers=len(LOOKS)) as pool:
        for found in pool.map(lambda look: looked(look, need), LOOKS):
            yield from found


def looked(look: Look, need: Need) -> list[Item]:
    """What one look finds; a machine that answers in an unknown way must not hide what the others find."""
    try:
        return list(look(need))
    except Exception as error:
        remedy = "please report it: kbench did not understand this machine"
        return [warning(look.__name__, f"{type(error).__name__}: {error}", remedy)]
