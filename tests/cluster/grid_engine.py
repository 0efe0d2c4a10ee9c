"""A real Grid Engine (SGE) of one host on this machine, in a folder and on ports of its own."""

import os
import socket
import subprocess
from pathlib import Path

from daemons import Daemons, free_ports, kill, processes_with, wait_until

TOOLS = ("qsub", "qconf", "sge_qmaster", "sge_execd", "setpriv")
LIB = Path("/usr/lib/gridengine")
SHARE = Path("/usr/share/gridengine")
ROOT = Path("/var/lib/gridengine")
BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn false
spooling_method classic
spooling_lib libspoolc
spooling_params {common};{spool}/qmaster
binary_path /usr/sbin
qmaster_spool_dir {spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
HOST_GROUP = "group_name @allhosts\nhostlist localhost\n"
GLOBAL = {"execd_spool_dir": "{spool}/execd", "min_uid": "0", "min_gid": "0", "load_report_time": "00:00:02"}
# What qconf would show in an editor is changed by a script: everything that we want to be otherwise.
EDITS = {
    "hostlist": "@allhosts",
    "tmpdir": "{folder}/tmp",  # jobs of two clusters may have the same number
    "slots": "8",
    "pe_list": "mpi",
    "rerun": "TRUE",
    "shell": "/bin/bash",
    "shell_start_mode": "unix_behavior",
    "notify": "00:00:10",
    "load_thresholds": "NONE",
    "allocation_rule": "$round_robin",
    "control_slaves": "TRUE",
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
}


class GridEngine:
    """Queue main.q with 8 slots and the parallel environment mpi; ``env`` is what its users need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons = Daemons(folder)
        master, execd = free_ports(2)
        self._root = folder / "root"
        own = {"SGE_ROOT": self._root, "SGE_CELL": "default", "SGE_QMASTER_PORT": master, "SGE_EXECD_PORT": execd}
        self.settings = {key: str(value) for key, value in own.items()}
        self.env = {**os.environ, **self.settings}

    def start(self) -> None:
        """Make a cell, start both daemons and wait until the queue takes jobs."""
        self._make_cell()
        self._daemons.start("qmaster", [str(LIB / "sge_qmaster")], self.env | {"SGE_ND": "1"})
        wait_until(lambda: self._asked("qconf", "-sh").returncode == 0, within_s=30, what=self._logs)
        self._configure()
        self._daemons.start("execd", [str(LIB / "sge_execd")], self.env | {"SGE_ND": "1"})
        wait_until(lambda: " lx-" in self.run("qstat", "-f"), within_s=60, what=self._logs)

    def stop(self) -> None:
        """End the jobs, then exactly the daemons that were started here."""
        self._daemons.stop()
        kill(processes_with(SGE_ROOT=str(self._root)))

    def tidy(self) -> None:
        """Make it as good as new: no job, no error state."""
        if self.run("qstat"):
            self._asked("qdel", "-u", "root")
        wait_until(lambda: not self.run("qstat"), within_s=60, what=lambda: self.run("qstat"))
        self._asked("qmod", "-cq", "main.q")

    def run(self, *words: str) -> str:
        """What a command prints; fails with its words when it fails."""
        done = self._asked(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def states(self) -> dict[str, str]:
        """The state of every job that waits or runs (qw, hqw, t, r, Rr, dr ...)."""
        rows = [line.split() for line in self.run("qstat").splitlines()[2:]]
        return {row[0]: row[4] for row in rows}

    def await_state(self, job: str, *states: str, within_s: float = 60) -> None:
        """Wait until a job is in one of some states; the state of one that is over is empty."""
        wait_until(
            lambda: self.states().get(job, "") in states,
            within_s=within_s,
            what=lambda: f"job {job} is {' or '.join(states)}; {self.run('qstat')}",
        )

    def _asked(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60)

    def _make_cell(self) -> None:
        spool, common = self._folder / "spool", self._root / "default" / "common"
        for folder in (common, spool / "qmaster", spool / "execd", self._folder / "tmp"):
            folder.mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (self._root / name).symlink_to(ROOT / name)
        (common / "bootstrap").write_text(BOOTSTRAP.format(common=common, spool=spool))
        (common / "act_qmaster").write_text("localhost\n")
        (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        plain = (SHARE / "default-configuration").read_text().splitlines()
        kept = [line for line in plain if line.split(" ")[0] not in GLOBAL]
        kept += [f"{key} {value.format(spool=spool)}" for key, value in GLOBAL.items()]
        (self._folder / "global").write_text("\n".join(kept) + "\n")
        self.run(str(LIB / "spoolinit"), "classic", "libspoolc", f"{common};{spool}/qmaster", "init")
        defaults = str(LIB / "spooldefaults")
        self.run(defaults, "configuration", str(self._folder / "global"))
        self.run(defaults, "complexes", str(SHARE / "util/resources/centry"))
        self.run(defaults, "usersets", str(SHARE / "util/resources/usersets"))
        self.run(defaults, "managers", "root")

    def _configure(self) -> None:
        editor, group = self._folder / "edit", self._folder / "hosts"
        edits = {key: value.format(folder=self._folder) for key, value in EDITS.items()}
        rules = "".join(f"s|^{key} .*|{key} {value}|;" for key, value in edits.items())
        # qconf sees by the file's time, in whole seconds, that it was changed.
        editor.write_text(f"#!/bin/sh\nsed -i '{rules}' \"$1\"\ntouch -d 'now + 2 seconds' \"$1\"\n")
        editor.chmod(0o755)
        group.write_text(HOST_GROUP)
        self._asked("qconf", "-ah", "localhost")  # it may be there already
        self.run("qconf", "-as", "localhost")
        self.run("qconf", "-Ahgrp", str(group))
        self.env["EDITOR"] = str(editor)
        self.run("qconf", "-ap", "mpi")
        self.run("qconf", "-aq", "main.q")
        self.run("qconf", "-msconf")
        del self.env["EDITOR"]

    def _logs(self) -> str:
        return f"see {self._folder}; {self._daemons.said('qmaster')[-2000:]}"
