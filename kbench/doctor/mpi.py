"""Whether mpirun starts ranks that find one another."""

import os
import shlex
import sys
from collections.abc import Iterator

from kbench.doctor.ask import Answer, ask
from kbench.doctor.item import Item, missing, ok
from kbench.doctor.need import Need
from kbench.launch.resolve import find_mpirun
from kbench.spec.site import Site

HELLO_S = 30.0
VERSION_S = 10.0
RANKS = 2
HELLO = (
    "from kbench.launch.ranks import hosts_over_mpi, rank_env;"
    "print('hello', rank_env().size, *hosts_over_mpi(), flush=True)"
)
INSTALL = "load the MPI module in setup:, or pip install 'kbench[mpi]', or use the launcher local"
REBUILD = "mpi4py must be built for the MPI of this mpirun: pip install --no-binary=mpi4py --force-reinstall mpi4py"


def mpi(need: Need) -> Iterator[Item]:
    """Look for mpirun, and let two ranks greet each other."""
    needed = need.launcher == "mpirun"
    mpirun = find_mpirun(need.site.mpirun)
    if mpirun is None:
        yield missing("mpirun", f"{need.site.mpirun} is not there", INSTALL, needed=needed)
        return
    yield ok("mpirun", f"{ask([mpirun, '--version'], seconds=VERSION_S).first_line}, {mpirun}")
    words = command(mpirun, need)
    answer = ask(need.prepared(words), seconds=HELLO_S, env=_environment())
    if not answer.ok:
        by_hand = f"try it by hand: {shlex.join([*words[:-2], '-c', '1'])}"
        yield missing("mpi ranks", answer.why, by_hand, needed=needed)
        return
    trouble = misunderstanding(answer)
    if trouble:
        yield missing("mpi ranks", trouble, REBUILD, needed=needed)
    else:
        hosts = answer.first_line.split()[2:]
        yield ok("mpi ranks", f"{RANKS} ranks met over mpi4py on {', '.join(dict.fromkeys(hosts))}")


def command(mpirun: str, need: Need) -> list[str]:
    """What starts two ranks: as the site would, or plainly where the site has another launcher."""
    if need.launcher != "mpirun":
        return [mpirun, "-np", str(RANKS), *Site().mpirun_options, sys.executable, "-c", HELLO]
    hosts = ["--host", ",".join(need.site.hosts)] if need.site.hosts else []
    hosts += ["--hostfile", need.site.hostfile] if need.site.hostfile else []
    return [mpirun, "-np", str(RANKS), *hosts, *need.site.mpirun_options, *need.python, "-c", HELLO]


def misunderstanding(answer: Answer) -> str:
    """What is wrong with the ranks' greetings; empty when each has met all."""
    hellos = [line.split() for line in answer.out.splitlines() if line.startswith("hello ")]
    if len(hellos) != RANKS:
        return f"{len(hellos)} of {RANKS} ranks said hello"
    lonely = [words for words in hellos if len(words) != 2 + RANKS or words[1] != str(RANKS)]
    return f"one of {RANKS} ranks believes that there are {len(lonely[0]) - 2}" if lonely else ""


def _environment() -> dict[str, str]:
    """Open MPI wants to be told twice that root may start it, as the job script does."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {"OMP_NUM_THREADS": "1"} | (root if os.geteuid() == 0 else {})
