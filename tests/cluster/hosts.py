"""Several hosts on this machine: each a network and a host name of its own, with a real sshd."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from daemons import Daemons, kill, wait_until

TOOLS = ("ip", "unshare", "setpriv", "ssh", "ssh-keygen", "/usr/sbin/sshd")
NAMED = ("sh", "-c", 'hostname "$0" && exec "$@"')  # the name of the host and a command are put behind
SSHD = {
    "PidFile": "none",
    "UsePAM": "no",
    "StrictModes": "no",
    "ListenAddress": "0.0.0.0",
}
SSH_CONFIG = """\
IdentityFile {folder}/key
IdentitiesOnly yes
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
"""


class Hosts:
    """A login node, and hosts h1, h2, ... that can be reached from it by ssh."""

    def __init__(self, folder: Path, number: int = 2) -> None:
        self.names = tuple(f"h{index + 1}" for index in range(number))
        self._folder = folder
        self._prefix = f"kbench{os.getpid()}-"
        self._daemons = Daemons(folder)
        # what a user would have in ~/.ssh/config
        self.settings = {"PRTE_MCA_plm_ssh_agent": f"ssh -F {folder}/config"}
        self.env = {**os.environ, **self.settings}

    def start(self) -> None:
        """Make the hosts, join them by a switch, and start an sshd on each."""
        self._sweep()
        key = self._folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (self._folder / "config").write_text(SSH_CONFIG.format(folder=self._folder))
        Path("/run/sshd").mkdir(exist_ok=True)
        for host in ("login", *self.names):
            self._make(host)
        self._ip("login", "link add switch type bridge")
        self._ip("login", "address add 10.99.0.1/24 dev switch")
        self._ip("login", "link set switch up")
        for number, host in enumerate(self.names, 11):
            self._ip(host, f"link add eth0 type veth peer name {host} netns {self._prefix}login")
            self._ip("login", f"link set {host} master switch up")
            self._ip(host, f"address add 10.99.0.{number}/24 dev eth0")
            self._ip(host, "link set eth0 up")
            files = {"HostKey": key, "AuthorizedKeysFile": f"{key}.pub"}
            words = [word for name, value in {**SSHD, **files}.items() for word in ("-o", f"{name}={value}")]
            self._daemons.start(host, self.on(host, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words), self.env)
        for host in self.names:
            wait_until(partial(self._reached, host), within_s=20, what=partial(self._daemons.said, host))

    def stop(self) -> None:
        """End all that runs on the hosts, and the hosts."""
        self._daemons.stop()
        for host in ("login", *self.names):
            name = self._prefix + host
            told = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
            kill(int(pid) for pid in told.stdout.split())
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    def on(self, host: str, *command: str) -> Sequence[str]:
        """The words that run a command on a host; ``login`` is where users are."""
        return ["ip", "netns", "exec", self._prefix + host, "unshare", "--uts", *NAMED, host, *command]

    @contextmanager
    def names_on_loopback(self) -> Iterator[None]:
        """Have each host's own name on the loopback line of its /etc/hosts, as some installers do."""
        files = {host: Path("/etc/netns") / (self._prefix + host) / "hosts" for host in self.names}
        before = {host: file.read_text() for host, file in files.items()}
        for host, file in files.items():
            others = [line for line in before[host].splitlines() if line.split()[1:] not in (["localhost"], [host])]
            file.write_text("\n".join([f"127.0.0.1 localhost {host}", *others, ""]))
        yield
        for host, file in files.items():
            file.write_text(before[host])

    def hostfile(self, path: Path, *, slots: int) -> Path:
        """Write a hostfile of mpirun's with some ranks for each host."""
        path.write_text("".join(f"{name} slots={slots}\n" for name in self.names))
        return path

    def _sweep(self) -> None:
        """Take away the hosts of test sessions that were killed."""
        for folder in Path("/etc/netns").glob("kbench*-*"):
            session = folder.name.removeprefix("kbench").partition("-")[0]
            if not Path("/proc", session).exists():
                subprocess.run(["ip", "netns", "delete", folder.name], capture_output=True)
                shutil.rmtree(folder, ignore_errors=True)

    def _make(self, host: str) -> None:
        names = {"127.0.0.1": "localhost", "10.99.0.1": "login"}
        names |= {f"10.99.0.{number}": name for number, name in enumerate(self.names, 11)}
        folder = Path("/etc/netns") / (self._prefix + host)  # files here stand in for those of /etc on the host
        folder.mkdir(parents=True)
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for address, name in names.items()))
        subprocess.run(["ip", "netns", "add", self._prefix + host], check=True)
        self._ip(host, "link set lo up")

    def _ip(self, host: str, words: str) -> None:
        subprocess.run(["ip", "-n", self._prefix + host, *words.split()], check=True)

    def _reached(self, host: str) -> bool:
        words = self.on("login", "ssh", "-F", f"{self._folder}/config", host, "hostname")
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=20)
        assert done.stdout.strip() != socket.gethostname()
        return done.stdout.strip() == host
