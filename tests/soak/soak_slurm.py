"""Short runs on a real Slurm of four nodes that die, are preempted and put jobs back: each run is trained once.

``make soak-slurm RUNS=500``: one ``kbench run --wait`` submits them and follows them to their end, while every few
seconds a node dies with its ranks, a slurmd dies and leaves its ranks behind, a job of higher priority takes nodes, or
a job is put back into the queue.  Most ranks are played (played_ranks.py), each twenty-fifth run really trains.  Prints
what became of the runs, what is left of processes, files and jobs, and memory and descriptors of ``kbench run`` in the
second and the last quarter of its time; exit code 1 where one of them is not as it must be.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from daemons import processes_holding, processes_with  # noqa: E402
from slurm_cluster import SlurmCluster  # noqa: E402

from kbench.experiment import ledger  # noqa: E402
from kbench.files import dead_drafts  # noqa: E402
from kbench.records import journal  # noqa: E402
from kbench.records.folders import ExperimentDir  # noqa: E402
from kbench.records.snapshot import RunSnapshot  # noqa: E402

N_EPOCHS = 3
REAL = 25  # of so many runs, one really trains
PAUSE_S = 6.0  # between two blows
CALM_FROM = 0.9  # of the runs are done; a slow machine would never end those that really train otherwise
DOWN_S = 6.0  # that a node stays dead
EXPERIMENT = """\
name: soak
pairs: [{{model: digits-cnn, dataset: digits, recipe: {{epochs: {epochs}, global_batch: 48, lr: 0.05}}}}]
strategies: [baseline, {{random: {{fraction: 0.3}}}}]
seeds: [{seeds}]
"""
SITE = """\
launcher: slurm
partition: cheap
cpus_per_rank: 1
threads_per_rank: 1
python: {python}
"""
# That a run leaves; docs/life-of-a-run.md says what each is.
FILES = (
    "spec.json job.json job.sh start.json attempts alive step provenance.json environment.json epochs.jsonl "
    "checkpoint.pt hits.json done.json stdout.log stderr.log .starting"
).split()
CACHE = "torchinductor_"  # a folder that torch makes for a user, once


class Sample(NamedTuple):
    """What the driver holds at a moment."""

    memory_mb: float
    n_descriptors: int


class Soak:
    """A user's runs on a cluster, and what happens to it."""

    def __init__(self, folder: Path, *, n_runs: int, seed: int) -> None:
        self.folder, self.n_runs, self.rng = folder, n_runs, random.Random(seed)
        for name in ("cluster", "tmp", "bin"):
            (folder / name).mkdir()
        self.cluster = SlurmCluster(folder / "cluster", cpus=2)
        self.env = self.cluster.env | {"SOAK_REAL": str(REAL), "TMPDIR": str(folder / "tmp")}
        self.env |= {"KBENCH_RESULTS": str(folder / "results"), "OMP_NUM_THREADS": "1"}
        ranks = folder / "bin" / "python"
        ranks.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("played_ranks.py")} "$@"\n')
        ranks.chmod(0o755)
        seeds = ", ".join(map(str, range((n_runs + 1) // 2)))
        (folder / "soak.yaml").write_text(EXPERIMENT.format(epochs=N_EPOCHS, seeds=seeds))
        (folder / "site.yaml").write_text(SITE.format(python=ranks))
        self.experiment = ExperimentDir(folder / "results" / "soak")
        self.blows: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.n_fronts = 0
        self._dead: dict[str, float] = {}  # nodes, and when they come back

    def front(self) -> "subprocess.Popen[bytes]":
        """Start ``kbench run``, which stays until all runs have ended."""
        self.n_fronts += 1
        command = [sys.executable, "-m", "kbench", "run", "soak.yaml", "--site", "site.yaml", "--wait", "--quiet"]
        with (self.folder / "front.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)

    def weather(self, front: "subprocess.Popen[bytes]") -> None:
        """Strike the cluster until the driver has ended."""
        began = struck = reported = time.monotonic()
        while front.poll() is None:
            time.sleep(1.0)
            now = time.monotonic()
            self._sample(front.pid)
            for name in [name for name, back_at in self._dead.items() if back_at < now]:
                del self._dead[name]
                self.cluster.revive_node(name)
            with suppress(subprocess.TimeoutExpired):
                for job in self.cluster.held_back():  # Slurm's two minutes
                    self.cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
            done = sum(1 for _ in self.experiment.path.glob("runs/*/done.json"))
            if now - struck > PAUSE_S and done < CALM_FROM * self.n_runs:
                struck = now
                with suppress(subprocess.TimeoutExpired):  # of a controller that is busy
                    self._strike()
            if now - reported > 60:
                reported = now
                print(f"{now - began:.0f} s: {done} done, {dict(self.blows)}, {self.samples[-1]}", flush=True)

    def settle(self) -> None:
        """Bring all nodes back, and wait until the queue is empty."""
        for name in self._dead:
            self.cluster.revive_node(name)
        self._dead = {}
        self.cluster.tidy()

    def _strike(self) -> None:
        blow = self.rng.choice(("node dies", "slurmd dies", "preemption", "requeue"))
        up = [name for name in self.cluster.nodes if name not in self._dead]
        running = [job for job, state in self.cluster.states().items() if state == "RUNNING"]
        if blow in ("node dies", "slurmd dies"):
            if len(up) < len(self.cluster.nodes):
                return
            name = self.rng.choice(up)
            strike = self.cluster.kill_node if blow == "node dies" else self.cluster.kill_slurmd
            strike(name)
            self.cluster.declare_down(name)
            self._dead[name] = time.monotonic() + DOWN_S
        elif blow == "preemption":
            words = ("-p", "urgent", "-N", "2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3")
            self.cluster.ask("sbatch", *words)
        elif not running or self.cluster.ask("scontrol", "requeue", self.rng.choice(running)).returncode:
            return
        self.blows[blow] += 1

    def _sample(self, pid: int) -> None:
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            n_descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            self.samples.append(Sample(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, n_descriptors))

    def report(self) -> dict[str, Any]:
        """What became of the runs, and what is left of them."""
        runs = list(self.experiment.read())
        submissions: Counter[str] = Counter()
        for entry in map(json.loads, self.experiment.ledger.read_text().splitlines()):
            submissions.update(entry["runs"] if entry["event"] == "submit" else [])
        wrong = {run.run_id: why for run in runs if (why := trouble_of(run))}
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return {
            "runs": len(runs),
            "wrong_runs": wrong,
            "attempts": dict(sorted(Counter(run.attempt for run in runs).items())),
            "submissions_of_a_run": dict(sorted(Counter(submissions[run.run_id] for run in runs).items())),
            "open_submissions": sum(not (s.id or s.over) for s in ledger.submissions(self.experiment).values()),
            "late_lines": sum(n_late(run) for run in runs),
            "blows": dict(self.blows),
            "fronts": self.n_fronts,
            "left_jobs": self.cluster.waiting_or_running(),
            "left_processes": self.left_processes(),
            "left_files": self.left_files(runs),
            "memory_mb": [statistics.median(sample.memory_mb for sample in part) for part in (early, late)],
            "most_descriptors": [max(sample.n_descriptors for sample in part) for part in (early, late)],
        }

    def left_processes(self) -> list[str]:
        """Command lines of processes that jobs, steps or ``kbench run`` left behind."""
        own = set(processes_with(SLURM_CONF=self.cluster.settings["SLURM_CONF"])) - {os.getpid()}
        logs = self.folder.glob("cluster/slurmd.*.log")
        found = own | {pid for log in logs for pid in processes_holding(log)}
        lines = []
        for pid in found:
            with suppress(OSError):
                lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        daemons = ("slurmd -D", "slurmctld -D", "slurmctld: ", ": slurmscriptd", "munged -F")
        return sorted(line for line in lines if line.strip() and not line.startswith(daemons))

    def left_files(self, runs: list[RunSnapshot]) -> list[str]:
        """Files that nobody needs any more."""
        found = [path for run in runs for path in run.path.iterdir() if path.name not in FILES]
        found += [path for path in (self.folder / "tmp").iterdir() if not path.name.startswith(CACHE)]
        found += [*dead_drafts(self.experiment.path / "*", of_any=True)]
        return sorted(str(path.relative_to(self.folder)) for path in found)


def n_late(run: RunSnapshot) -> int:
    """Epochs that an attempt still wrote after another had taken over; each may write the one that it was at."""
    newest, n = 0, 0
    for record in journal.read(run.path / journal.NAME).records:
        n += record.attempt < newest
        newest = max(newest, record.attempt)
    return n


def trouble_of(run: RunSnapshot) -> str:
    """Why a run was not trained exactly once; empty when it was."""
    if run.trouble:
        return run.trouble
    if run.done is None or run.start is None or run.done.attempt != run.start.attempt:
        return f"not done: {run.failure.error if run.failure else 'no word'}"
    if [record.epoch for record in run.epochs] != list(range(N_EPOCHS)):
        return f"epochs {[(record.epoch, record.attempt) for record in run.epochs]}"
    written = Counter(record.attempt for record in journal.read(run.path / journal.NAME).records)
    late = [attempt for attempt in written if attempt > run.done.attempt]
    return f"attempts {late} wrote epochs after it was done" if late else ""


def main(n_runs: int, seed: int) -> int:
    """Soak, clear up, print the report; returns 1 where something is not as it must be."""
    with tempfile.TemporaryDirectory(prefix="kbench-soak-", ignore_cleanup_errors=True) as place:
        soak = Soak(Path(place), n_runs=n_runs, seed=seed)
        began = time.monotonic()
        try:
            soak.cluster.start()
            for _ in range(5):  # a run whose job Slurm gave up is interrupted, and submitted again
                with soak.front() as front:
                    try:
                        soak.weather(front)
                    finally:
                        front.kill()  # nothing, where it has ended
                if front.returncode == 0:
                    break
            soak.settle()
            deadline = time.monotonic() + 30
            while soak.left_processes() and time.monotonic() < deadline:
                time.sleep(1.0)
            report = soak.report()
        finally:
            soak.cluster.stop()
            print((Path(place) / "front.log").read_text()[-2000:], file=sys.stderr)
        print(json.dumps(report | {"seed": seed, "took_s": round(time.monotonic() - began)}, indent=1))
    must_be_empty = ("wrong_runs", "open_submissions", "left_jobs", "left_processes", "left_files")
    (early_mb, late_mb), (early_n, late_n) = report["memory_mb"], report["most_descriptors"]
    grown = late_mb > 1.1 * early_mb or late_n > early_n
    return int(grown or report["runs"] != 2 * ((n_runs + 1) // 2) or any(report[key] for key in must_be_empty))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32))
