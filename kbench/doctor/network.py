"""The network interfaces over which ranks could talk, and whether this host knows its own address."""

import fcntl
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

from kbench.doctor.ask import ask
from kbench.doctor.item import Item, missing, ok, warning
from kbench.doctor.need import Need

SECONDS = 10.0
SIOCGIFADDR = 0x8915  # Linux: the address of an interface
RESOLVE = "import socket; print(*sorted({a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None)}))"


def network(need: Need) -> Iterator[Item]:
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
    yield _own_name(need)


def interfaces() -> dict[str, str]:
    """The names of the interfaces that have an IPv4 address, with it."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # without an address
                answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found[name] = socket.inet_ntoa(answer[20:24])
    return found


def _own_name(need: Need) -> Item:
    name = socket.gethostname()
    answer = ask([sys.executable, "-c", RESOLVE], seconds=SECONDS)
    remedy = "give it an address in /etc/hosts or the name server, or set network_interface:"
    if not answer.ok:
        return warning("host name", f"{name} has no address", remedy)
    addresses = answer.out.split()
    alone = all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
    if alone and need.launcher == "mpirun" and need.on_others:
        return warning("host name", f"{name} is {', '.join(addresses)}: other machines cannot reach it", remedy)
    return ok("host name", f"{name} is {', '.join(addresses)}")
