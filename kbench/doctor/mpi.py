"""Whether mpirun starts ranks that find one another, and over which network."""

import ipaddress
import os
import shlex
import socket
import sys
from collections.abc import Iterator

import psutil

from kbench.doctor.need import Need
from kbench.experiment.plan import find_mpirun
from kbench.launch.diagnosis import Answer, Finding, ask, missing, ok, warning

HELLO_S = 30.0
OPEN_MPI = ("Open MPI", "OpenRTE", "PRRTE")
SECONDS = 10.0  # that other programs may take
RANKS = 2
HELLO = (
    "from kbench.engine.runtime.ranks import hosts_over_mpi, rank_env;"
    "print('hello', rank_env().size, *hosts_over_mpi(), flush=True)"
)
INSTALL = "load the MPI module in setup:, or pip install 'kbench[mpi]', or use the launcher local"
REBUILD = (
    "mpi4py must take this mpirun's MPI: setup: ['export MPI4PY_MPIABI=mpich LD_LIBRARY_PATH=/path/of/its/lib'] in "
    "the site file (or openmpi), or pip install --no-binary=mpi4py --force-reinstall mpi4py"
)
RESOLVE = "import socket; print(*sorted({a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None)}))"


def mpi(need: Need) -> Iterator[Finding]:
    """Look for mpirun, and let two ranks greet each other."""
    needed = need.launcher == "mpirun"
    mpirun = find_mpirun(need.site.mpirun)
    if mpirun is None:
        yield missing("mpirun", f"{need.site.mpirun} is not there", INSTALL, needed=needed)
        return
    yield ok("mpirun", f"{ask([mpirun, '--version'], seconds=SECONDS).first_line}, {mpirun}")
    command = hello_command(mpirun, need)
    answer = ask(need.prepared(command), seconds=HELLO_S, env=_environment())
    if not answer.ok:
        by_hand = f"try it by hand: {shlex.join([*command[:-2], '-c', '1'])}"
        yield missing("mpi ranks", answer.why, by_hand, needed=needed)
        return
    trouble = misunderstanding(answer)
    if trouble:
        yield missing("mpi ranks", trouble, REBUILD, needed=needed)
    else:
        hosts = answer.first_line.split()[2:]
        yield ok("mpi ranks", f"{RANKS} ranks met over mpi4py on {', '.join(dict.fromkeys(hosts))}")


def hello_command(mpirun: str, need: Need) -> list[str]:
    """What starts two ranks: as the site would, or plainly where the site has another launcher."""
    version = ask([mpirun, "--version"], seconds=SECONDS).out
    options = list(need.site.mpirun_options)
    if "mpirun_options" not in need.site.model_fields_set and any(name in version for name in OPEN_MPI):
        options = ["--oversubscribe", "--bind-to", "none"]  # as jobs/parts/mpirun-setup.sh does
    if need.launcher != "mpirun":
        return [mpirun, "-np", str(RANKS), *options, sys.executable, "-c", HELLO]
    hosts = ["--host", ",".join(need.site.hosts)] if need.site.hosts else []
    hosts += ["--hostfile", need.site.hostfile] if need.site.hostfile else []
    return [mpirun, "-np", str(RANKS), *hosts, *options, *need.python, "-c", HELLO]


def misunderstanding(answer: Answer) -> str:
    """What is wrong with the ranks' greetings; empty when each has met all."""
    hellos = [line.split() for line in answer.out.splitlines() if line.startswith("hello ")]
    if len(hellos) != RANKS:
        return f"{len(hellos)} of {RANKS} ranks said hello"
    wrong = [hello for hello in hellos if len(hello) != 2 + RANKS or hello[1] != str(RANKS)]
    return f"one of {RANKS} ranks believes that there are {len(wrong[0]) - 2}" if wrong else ""


def _environment() -> dict[str, str]:
    """Open MPI wants to be told twice that root may start it, as the job script does."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {"OMP_NUM_THREADS": "1"} | (root if os.geteuid() == 0 else {})


def network(need: Need) -> Iterator[Finding]:
    """List the interfaces, look for the site's, and look the host name up."""
    known = interfaces()
    found = ", ".join(f"{name} {address}" for name, address in known.items()) or "none with an address"
    wanted = need.site.network_interface
    if wanted and wanted not in known:
        remedy = "change network_interface: in the site file"
        if need.here:
            yield missing("network", f"{found}; no {wanted}", remedy, needed=True)
        else:
            yield warning("network", f"{found}; no {wanted} on this node", remedy + ", unless the others have it")
    else:
        yield ok("network", found)
    yield _host_name(need)


def interfaces() -> dict[str, str]:
    """The names of the interfaces that have an IPv4 address, with the first one."""
    addresses = psutil.net_if_addrs()
    ipv4 = {name: [one.address for one in all_of if one.family == socket.AF_INET] for name, all_of in addresses.items()}
    return {name: found[0] for name, found in ipv4.items() if found}


def _host_name(need: Need) -> Finding:
    name = socket.gethostname()
    answer = ask([sys.executable, "-c", RESOLVE], seconds=SECONDS)
    remedy = "give it an address in /etc/hosts or the name server, or set network_interface:"
    if not answer.ok:
        return warning("host name", f"{name} has no address", remedy)
    addresses = answer.out.split()
    only_local = all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
    if only_local and need.launcher == "mpirun" and need.on_others:
        return warning("host name", f"{name} is {', '.join(addresses)}: other machines cannot reach it", remedy)
    return ok("host name", f"{name} is {', '.join(addresses)}")
