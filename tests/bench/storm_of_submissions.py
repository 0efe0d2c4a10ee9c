"""Submissions while the driver is killed and the list of jobs is wrong, over and over: each run is trained once.

``python tests/bench/storm_of_submissions.py [--submissions 300] [--seed 0]``

A played Slurm (tests/launch/schedulers/fake_commands.py) takes the jobs; its squeue answers now and then with nothing,
half a list, lines of a wrapper, other names under our numbers, or not in time.  ``kbench run`` is killed at a random
moment and started again, jobs run in between, and jobs of somebody else are in the queue.  Prints how many runs were
trained twice, never, and how many foreign jobs were touched.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "launch" / "schedulers"))

from fake_commands import SLURM, PlayedCluster, install  # noqa: E402

EXPERIMENT = """\
name: small
pairs: [{model: digits-cnn, dataset: digits, recipe: {epochs: 1, global_batch: 48, lr: 0.05}}]
strategies: [baseline]
seeds: [%s]
"""
# Stands for the Python of the ranks: counts that it trained, and ends.
RANKS = """\
#!%s -S
import json, sys
from pathlib import Path
run = Path(sys.argv[-1])
with (run / "trained").open("a") as file:
    file.write("x")
start = json.loads((run / "start.json").read_text())
end = {"schema_version": 2, "attempt": start["attempt"], "ended_at": start["started_at"], "phases": []}
(run / "done.json").write_text(json.dumps(end))
"""
WRONG = ("right", "right", "empty", "cut", "extra", "recycled", "late")


class Storm:
    """A user with a played cluster, in a folder of their own."""

    def __init__(self, folder: Path, *, n_runs: int, seed: int) -> None:
        self.folder, self.rng, self.n_killed, self.n_wrong, self.n_calls = folder, random.Random(seed), 0, 0, 0
        (folder / "small.yaml").write_text(EXPERIMENT % ", ".join(map(str, range(n_runs))))
        (folder / "ranks").write_text(RANKS % sys.executable)
        (folder / "ranks").chmod(0o755)
        python = f"threads_per_rank: 1\npython: {folder / 'ranks'}\n"
        (folder / "site.yaml").write_text(f"launcher: slurm\narrays: false\n{python}")
        install(folder / "bin", SLURM)
        self.cluster = PlayedCluster(folder / "jobs.json")
        self.env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        self.env |= {"PLAYED_CLUSTER": str(self.cluster.file), "KBENCH_RESULTS": str(folder / "results")}
        for number in range(3):
            self.cluster.add(f"/their/script{number}", "their-work", ids={"": f"{9000 + number}"}, after={"": []})

    def run(self, *, at_most_s: float | None) -> None:
        """Call kbench run, with wrong lists to come, and kill it after a while."""
        answers = [self.rng.choice(WRONG) for _ in range(4)] if at_most_s is not None else []
        self.n_wrong += sum(answer != "right" for answer in answers)
        self.cluster.spoil(*answers)
        command = [sys.executable, "-m", "kbench", "run", "small.yaml", "--site", "site.yaml"]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.n_calls += 1
        try:
            process.wait(at_most_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.n_killed += 1
            time.sleep(0.3)  # what it was just submitting comes to its end

    def train(self, n_jobs: int) -> None:
        """Let some jobs run to their end."""
        mine = [job for job in self.cluster.ready() if job.name != "their-work"]
        for job in self.rng.sample(mine, min(n_jobs, len(mine))):
            here = {"SLURM_JOB_ID": job.id, "SLURM_JOB_NODELIST": "n1", "PLAYED_CLUSTER": str(self.cluster.file)}
            self.cluster.run(job, {**self.env, **here})

    def counts(self) -> dict[str, int]:
        """What became of the runs and of the jobs of others."""
        runs = list((self.folder / "results" / "small" / "runs").glob("*"))
        trained = [len((run / "trained").read_text()) if (run / "trained").exists() else 0 for run in runs]
        ours = [job for job in self.cluster.read() if job.name != "their-work"]
        theirs = [job for job in self.cluster.read() if job.name == "their-work"]
        return {
            "runs": len(runs),
            "submissions": len(ours),
            "calls": self.n_calls,
            "killed": self.n_killed,
            "wrong_answers": self.n_wrong,
            "trained_twice": sum(n > 1 for n in trained),
            "lost": sum(n == 0 for n in trained),
            "foreign_jobs_touched": sum(job.stage != "waiting" for job in theirs),
        }


def main() -> None:
    """Storm, clear up, and print the counts; exit 1 where one is not as it must be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--submissions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kbench-storm-") as place:
        storm = Storm(Path(place), n_runs=args.submissions, seed=args.seed)
        began, typical_s = time.monotonic(), 0.0
        storm.run(at_most_s=None if args.submissions < 20 else 30.0)
        typical_s = min(30.0, time.monotonic() - began)
        for _ in range(12):
            storm.run(at_most_s=storm.rng.uniform(0.3, 1.2) * typical_s)
            storm.train(args.submissions // 20)
        while True:  # no more wrong answers: all must come to its end
            storm.run(at_most_s=None)
            before = sum(job.stage == "waiting" for job in storm.cluster.read())
            storm.train(args.submissions)
            if sum(job.stage == "waiting" for job in storm.cluster.read()) == before:
                break
        counts = storm.counts()
    print(json.dumps(counts))
    sys.exit(any(counts[name] for name in ("trained_twice", "lost", "foreign_jobs_touched")))


if __name__ == "__main__":
    main()
