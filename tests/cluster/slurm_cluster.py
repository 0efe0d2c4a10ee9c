"""A real Slurm of several nodes on this machine: slurmctld, a slurmd per node, a munged of their own; no accounting."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from daemons import Daemons, free_ports, kill, processes_holding, processes_with, wait_until
from slurm_conf import CONF, NODE

TOOLS = ("slurmctld", "slurmd", "munged", "sbatch", "setpriv")


class SlurmCluster:
    """Nodes n1, n2, ...; ``env`` is what its users need.  Partitions: debug, short (1 minute), cheap (preempted
    for urgent, after 10 s of grace), urgent."""

    def __init__(self, folder: Path, *, nodes: int = 4, cpus: int = 4, more: str = "") -> None:
        self.nodes = tuple(f"n{number + 1}" for number in range(nodes))
        self._folder = folder
        self._daemons = Daemons(folder)
        port, *ports = free_ports(nodes + 1)
        self._cluster = f"kbench{port}"
        self._conf = folder / "slurm.conf"
        self.settings = {"SLURM_CONF": str(self._conf)}
        self.env = {**os.environ, **self.settings}
        for name in ("state", "munge", *self.nodes):
            (folder / name).mkdir()
        own = "".join(NODE.format(name=n, port=p, cpus=cpus) for n, p in zip(self.nodes, ports, strict=True))
        everything = ",".join(self.nodes)
        self._conf.write_text(
            CONF.format(cluster=self._cluster, port=port, folder=folder, more=own + more, all=everything)
        )

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        self._start_munged()
        self.start_controller()
        for name in self.nodes:
            self.revive_node(name)
        self.await_nodes()

    def stop(self) -> None:
        """End the jobs, then exactly the daemons that were started here."""
        self._kill_jobs()
        self._daemons.stop()
        self._kill_jobs()

    def tidy(self) -> None:
        """Make it as good as new: daemons up, no job, all nodes idle."""
        if not self._daemons.alive("slurmctld"):
            self.start_controller()
        self.resume_controller()
        self.run("scancel", "-u", str(os.getuid()))
        for name in self.nodes:
            if not self._daemons.alive(name):
                self.revive_node(name)
        wait_until(lambda: not self.run("squeue", "-h"), within_s=60, what=lambda: self.run("squeue"))
        for name, state in self.node_states().items():
            if state.startswith(("drain", "down")):  # unless it comes back by itself at this moment
                self.ask("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self.await_nodes()

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Call a command of Slurm, which may fail."""
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60)

    def run(self, *words: str) -> str:
        """What a command of Slurm prints; fails with its words when it fails."""
        done = self.ask(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def states(self, fields: str = "%i|%T") -> dict[str, str]:
        """Every job by its id, ended ones too, with its state, or with other fields of squeue."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-o", fields).splitlines()
        return {job: rest for job, _, rest in (line.partition("|") for line in lines)}

    def await_state(self, job: str, *states: str, within_s: float = 60) -> None:
        """Wait until a job is in one of some states."""
        wait_until(
            lambda: self.states().get(job) in states,
            within_s=within_s,
            what=lambda: f"job {job} is {' or '.join(states)}; it is {self.states('%i|%T %r').get(job)}",
        )

    def await_text(self, file: Path, *texts: str, within_s: float = 60) -> None:
        """Wait until a file holds some texts."""
        wait_until(
            lambda: file.exists() and all(text in file.read_text() for text in texts),
            within_s=within_s,
            what=lambda: f"{texts} in {file}: {file.read_text() if file.exists() else 'no file'}; {self.states()}",
        )

    def start_now(self, *jobs: str) -> None:
        """Let jobs start that Slurm holds back for two minutes, as it does after a requeue."""
        for job in jobs:
            self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def held_back(self) -> list[str]:
        """Jobs that wait for no more than the two minutes to be over."""
        return [job for job, reason in self.states("%i|%T %r").items() if reason == "PENDING BeginTime"]

    def waiting_or_running(self) -> list[str]:
        """Jobs that are not over."""
        return self.run("squeue", "-h", "-r", "-o", "%i").split()

    def await_nodes(self) -> None:
        """Wait until all nodes are idle; a controller that has just begun does not know them yet."""
        idle = dict.fromkeys(self.nodes, "idle")
        wait_until(lambda: self.node_states() == idle, within_s=60, what=self._logs)

    def node_states(self) -> dict[str, str]:
        """The own nodes' states; one that does not respond ends in a star."""
        lines = self.run("sinfo", "-h", "-N", "-p", "debug", "-n", ",".join(self.nodes), "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def kill_node(self, name: str) -> None:
        """End a node as a power cut does: its slurmd and all that it had started."""
        self.kill_slurmd(name)
        kill(self._jobs_on(name))

    def kill_slurmd(self, name: str) -> None:
        """Kill -9 a slurmd; what it had started goes on, and the controller hears no more of it."""
        self._daemons.send(name, signal.SIGKILL)

    def declare_down(self, name: str) -> None:
        """Spare the test the time in which the controller finds out that a node is dead."""
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=test")

    def revive_node(self, name: str) -> None:
        """Start the slurmd of a node again."""
        self._daemons.start(name, ["slurmd", "-D", "-N", name, "-f", str(self._conf)], self.env)

    def start_controller(self) -> None:
        """Start slurmctld, with the jobs that it knew when it ended."""
        self._daemons.start("slurmctld", ["slurmctld", "-D", "-f", str(self._conf)], self.env)
        up = ("scontrol", "ping")
        wait_until(
            lambda: subprocess.run(up, env=self.env, capture_output=True).returncode == 0, within_s=20, what=self._logs
        )

    def kill_controller(self) -> None:
        """Kill -9 slurmctld."""
        self._daemons.send("slurmctld", signal.SIGKILL)

    def freeze_controller(self) -> None:
        """Let slurmctld take connections and answer none."""
        self._daemons.send("slurmctld", signal.SIGSTOP)

    def resume_controller(self) -> None:
        """End a freeze."""
        self._daemons.send("slurmctld", signal.SIGCONT)

    def _start_munged(self) -> None:
        home = self._folder / "munge"
        home.chmod(0o755)
        (home / "key").write_bytes(os.urandom(128))
        (home / "key").chmod(0o400)
        files = [f"--{name}-file={home / name}" for name in ("key", "pid", "log", "seed")]
        self._daemons.start("munged", ["munged", "-F", "--force", f"--socket={home / 'socket'}", *files], self.env)
        wait_until((home / "socket").exists, within_s=10, what=lambda: self._daemons.said("munged"))

    def _jobs_on(self, node: str) -> Sequence[int]:
        """The slurmstepd of a node, who come first, and the batch scripts and ranks below them."""
        steps = set(processes_holding(self._folder / f"slurmd.{node}.log"))
        return [*steps, *processes_with(SLURM_CLUSTER_NAME=self._cluster, SLURMD_NODENAME=node)]

    def _kill_jobs(self) -> None:
        for name in self.nodes:
            kill(self._jobs_on(name))

    def _logs(self) -> str:
        return f"see {self._folder}/*.out; slurmctld: {self._daemons.said('slurmctld')[-2000:]}"
