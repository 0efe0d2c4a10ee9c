"""What users of a cluster do: write an experiment and a site, call kbench, look again later."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daemons import wait_until

from kbench.records.folders import ExperimentDir, RunDir

EXPERIMENT = """\
name: small
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {{epochs: {epochs}, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}}
strategies: [{strategies}]
seeds: {seeds}
"""
# A strategy like the baseline that waits before an epoch for a file to appear: while it does, a
# test does to its job what it wants, without a race.
HELD = '''
"""Training that a test can hold."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from kbench.strategies.api import Strategy


@dataclass
class Held(Strategy):
    """Waits before epoch ``before`` until the file that HELD_UNTIL names is there."""

    before: int = 2

    def plan(self, epoch, stats):
        while epoch.index >= self.before and not Path(os.environ["HELD_UNTIL"]).exists():
            time.sleep(0.1)
        return super().plan(epoch, stats)
'''
Kbench = Callable[..., "subprocess.CompletedProcess[str]"]


class User:
    """Somebody in front of a login node, in a folder of their own."""

    def __init__(self, folder: Path, kbench: Kbench, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.go = folder / "go"  # lets what is held go on
        self.env = {**env, "PYTHONPATH": str(folder), "HELD_UNTIL": str(self.go), "OMP_NUM_THREADS": "1"}
        self.path = os.environ["PATH"]
        self._kbench = kbench
        (folder / "held.py").write_text(HELD)

    def writes(self, site: str, *strategies: str, epochs: int = 2, seeds: tuple[int, ...] = (0,)) -> None:
        """Write small.yaml and site.yaml."""
        text = EXPERIMENT.format(epochs=epochs, strategies=", ".join(strategies), seeds=list(seeds))
        (self.folder / "small.yaml").write_text(text)
        (self.folder / "site.yaml").write_text(site)

    def calls(self, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Call kbench; nobody wants to see a traceback."""
        done = self._kbench(*words, env={**self.env, **(env or {})}, cwd=self.folder)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def runs(self, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Call kbench run, which must go well."""
        done = self.calls("run", "small.yaml", "--site", "site.yaml", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done

    def sees(self, *words: str) -> dict[str, dict[str, Any]]:
        """The rows of kbench status by strategy and seed (``baseline.s0``)."""
        done = self.calls("status", "small", "--json", *words)
        assert done.returncode == 0, done.stderr
        return {name_of(row["run_id"]): row for row in json.loads(done.stdout)["runs"]}

    def awaits(self, state: str, *names: str, within_s: float = 120) -> None:
        """Look until runs, or all of them, are in a state; kbench is not asked more often than it must be."""

        def told() -> bool:
            rows = self.sees()
            return all(rows[name]["state"] == state for name in names or rows)

        def over() -> bool:
            runs = self.found()
            return all(runs[name].is_done() for name in names or runs)

        if state == "done":
            wait_until(over, within_s=within_s, what=lambda: f"{names or 'all'} {state}: {self.sees()} {self.logs()}")
        wait_until(told, within_s=within_s, every_s=1, what=lambda: f"{names or 'all'} {state}: {self.sees()}")

    def awaits_epochs(self, name: str, number: int, within_s: float = 120) -> None:
        """Look until a run has written some epochs."""
        wait_until(
            lambda: name in self.found() and len(self.found()[name].epochs()) >= number,
            within_s=within_s,
            what=lambda: f"{number} epochs of {name}: {self.sees()} {self.logs()}",
        )

    def wraps(self, command: str, body: str) -> dict[str, str]:
        """Put a script before a command, whose path takes the place of ``{}``; returns the environment that has it."""
        place = self.folder / "bin" / command
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"#!/bin/bash\n{body.format(shutil.which(command))}\n")
        place.chmod(0o755)
        return {"PATH": f"{place.parent}:{self.path}"}

    def recycles(self, mine: str, other: str) -> None:
        """Have the scheduler count anew: the number that the ledger knows is now that of another job."""
        text = self.experiment().ledger.read_text()
        assert f'"id": "{mine}"' in text
        self.experiment().ledger.write_text(text.replace(f'"id": "{mine}"', f'"id": "{other}"'))

    def experiment(self, results: str = "results") -> ExperimentDir:
        """The folder of small."""
        return ExperimentDir(self.folder / results / "small")

    def found(self, results: str = "results") -> dict[str, RunDir]:
        """The folders of the runs by strategy and seed."""
        return {name_of(run.run_id): run for run in self.experiment(results).all_runs()}

    def logs(self) -> str:
        """What jobs and ranks have printed."""
        files = [*self.experiment().path.glob("jobs/*.log"), *self.experiment().path.glob("runs/*/std*.log")]
        return "\n".join(f"{file.name}: {file.read_text()[-1500:]}" for file in files)


def name_of(run_id: str) -> str:
    """Strategy and seed of a run."""
    return ".".join(run_id.split(".")[1:3])
