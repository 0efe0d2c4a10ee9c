"""What a run writes of itself: where it was made, how it went, and, last of all, how it ended."""

import json
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import kbench as package
from kbench.launch.state import State, state_of
from kbench.records.folders import ExperimentDir, RunDir

CRASH = '''
from dataclasses import dataclass

from kbench.strategies.api import EpochPlan, Strategy


@dataclass
class Crashes(Strategy):
    """Fails in epoch 1, by a bug of its own."""

    def plan(self, epoch, stats):
        if epoch.index == 1:
            return EpochPlan(epoch.everyone[[1, 2], 3])
        return super().plan(epoch, stats)
'''
EXPERIMENT = """\
name: crash
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 2, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}
strategies:
  - baseline
  - {"crash:Crashes": {}, label: crashes}
seeds: [0]
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """A folder in which ``kbench run`` had a strategy that crashes and one that does not."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "crash.py").write_text(CRASH)
    (folder / "crash.yaml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "kbench", "run", "crash.yaml", "--set", "threads_per_rank=1"]
    env = clean_env | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    (folder / "returned.json").write_text(json.dumps([done.returncode, done.stderr]))
    return folder


@pytest.fixture(scope="module")
def runs(crashed: Path) -> dict[str, RunDir]:
    """Its runs, by the label of their strategy."""
    return {run.spec.strategy.label: run for run in ExperimentDir(crashed / "results" / "crash").all_runs()}


def facts(run: RunDir, *keys: str) -> dict[str, Any]:
    return {key: run.failed[key] for key in keys}


def test_a_crash_of_one_strategy_leaves_the_others_done(runs: dict[str, RunDir]) -> None:
    states = {label: state_of(run) for label, run in runs.items()}
    assert states == {"baseline": State.DONE, "crashes": State.FAILED}


def test_a_crash_of_one_strategy_is_exit_code_5_after_all_were_tried(crashed: Path, runs: dict[str, RunDir]) -> None:
    returned, said = json.loads((crashed / "returned.json").read_text())
    assert returned == 5
    assert "1 of 2 runs failed" in said
    assert [len(run.epochs()) for run in runs.values()] == [2, 1]


def test_a_bug_is_told_by_its_kind_with_where_to_look(runs: dict[str, RunDir]) -> None:
    assert facts(runs["crashes"], "error", "hint", "kind", "exit_code", "attempt") == {
        "error": "IndexError: too many indices for tensor of dimension 1",
        "hint": "a bug of kbench or of a strategy; see stderr.log",
        "kind": "IndexError",
        "exit_code": 1,
        "attempt": 1,
    }


def test_a_bug_is_told_with_its_traceback(runs: dict[str, RunDir]) -> None:
    trace = runs["crashes"].failed["traceback"]
    assert trace.startswith("Traceback (most recent call last):")
    assert "return EpochPlan(epoch.everyone[[1, 2], 3])" in trace
    assert "IndexError" in runs["crashes"].stderr.read_text()


def test_a_run_that_failed_is_not_done(runs: dict[str, RunDir]) -> None:
    assert not (runs["crashes"].path / "done.json").exists()


def test_a_run_that_is_done_has_not_failed(runs: dict[str, RunDir]) -> None:
    assert not (runs["baseline"].path / "failed.json").exists()


@pytest.mark.parametrize(("label", "last"), [("baseline", "done.json"), ("crashes", "failed.json")])
def test_how_a_run_ended_is_the_last_file_that_it_wrote(runs: dict[str, RunDir], label: str, last: str) -> None:
    folder = runs[label].path
    own = ("done.json", "failed.json", "epochs.jsonl", "provenance.json", "spec.json")
    written = {name: (folder / name).stat().st_mtime_ns for name in own if (folder / name).exists()}
    assert max(written, key=lambda name: written[name]) == last


def test_the_end_of_a_run_names_its_attempt_and_the_phase_that_counts(runs: dict[str, RunDir]) -> None:
    done = runs["baseline"].done
    assert (done["attempt"], done["last_phase"]) == (1, "train")


def test_a_run_notes_with_which_versions_it_was_made(runs: dict[str, RunDir]) -> None:
    versions = {key: runs["baseline"].provenance[key] for key in ("kbench_version", "python_version", "torch_version")}
    assert versions == {
        "kbench_version": package.__version__,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
    }


def test_a_run_notes_where_and_with_how_many_threads_it_was_made(runs: dict[str, RunDir]) -> None:
    told = runs["baseline"].provenance
    threads = next(
        int(line.rpartition("=")[2])
        for line in runs["baseline"].script.read_text().splitlines()
        if "OMP_NUM_THREADS" in line
    )
    assert (told["hosts"], told["threads_per_rank"], told["max_parallel"]) == ([socket.gethostname()], threads, 1)


def test_a_run_notes_on_what_it_trained(runs: dict[str, RunDir]) -> None:
    told = runs["baseline"].provenance
    on_gpu = torch.cuda.is_available()
    assert told["device_name"] == (torch.cuda.get_device_name(0) if on_gpu else told["processor"])
    assert (told["n_devices"], told["backend"]) == (int(on_gpu), None)


def test_a_run_that_failed_notes_where_it_was_made_too(runs: dict[str, RunDir]) -> None:
    assert runs["crashes"].provenance["hosts"] == [socket.gethostname()]


def test_a_run_prints_a_line_per_epoch(runs: dict[str, RunDir]) -> None:
    lines = runs["baseline"].stdout.read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["train", "1"], ["train", "2"]]


def test_a_folder_without_a_spec_is_said_to_be_none(tmp_path: Path, clean_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "kbench.worker", str(tmp_path)]
    done = subprocess.run(command, env=clean_env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 6
    assert f"{tmp_path / 'spec.json'}: is no spec of a run" in done.stderr
