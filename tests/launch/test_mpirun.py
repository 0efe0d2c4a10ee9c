"""Several ranks: started by a real mpirun, or by torchrun, and how they end when one of them does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kbench.config.run_spec import RunSpec
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.run_state import State

pytestmark = pytest.mark.dist

# Strategies that end badly, each in its way, on one rank only.
KILLER = '''
import os
import signal
from dataclasses import dataclass

import torch
import torch.distributed as dist

from kbench.strategies.api import EpochPlan, Strategy


@dataclass
class Dies(Strategy):
    """Ends rank ``rank`` at the beginning of epoch 1."""

    how: str = "kill"
    rank: int = 0

    def plan(self, epoch, stats):
        if epoch.index == 1 and dist.get_rank() == self.rank:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("the plan is lost")
        return super().plan(epoch, stats)


@dataclass
class Differs(Strategy):
    """Rank 1 plans the same samples in another number."""

    def plan(self, epoch, stats):
        return EpochPlan(epoch.all_ids[dist.get_rank() :])


@dataclass
class Drifts(Strategy):
    """Rank 1 changes its weights behind everybody's back."""

    @torch.no_grad()
    def select(self, batch, probe):
        next(probe.learner.module.parameters()).add_(dist.get_rank())
'''
EXPERIMENT = """\
name: ranks
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {{epochs: {epochs}, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}}
strategies: [{strategies}]
seeds: [0]
"""
PLAIN = "baseline, {kakurenbo: {fraction: 0.2, confidence: 0.0, milestones: [1], shares: [1.0, 1.0]}}"
DEADLY = """
  {"killer:Dies": {how: kill, rank: %d}, label: baseline}, {"killer:Dies": {how: raise, rank: %d}, label: raises}"""
DISAGREEING = '{"killer:Differs": {}, label: baseline}, {"killer:Drifts": {}, label: drifts}'

Env = dict[str, str]


def start(folder: Path, env: Env, strategies: str, *words: str, epochs: int = 2) -> "subprocess.Popen[str]":
    """Start ``kbench run`` in an empty folder, on an experiment of these strategies."""
    (folder / "killer.py").write_text(KILLER)
    (folder / "ranks.yaml").write_text(EXPERIMENT.format(epochs=epochs, strategies=strategies))
    return subprocess.Popen(
        [sys.executable, "-m", "kbench", "run", "ranks.yaml", "--max-parallel", "2", *words],
        cwd=folder,
        env=env | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Wait for an end that must come."""
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def runs(folder: Path) -> dict[str, RunDir]:
    """The runs below a folder, by the label of their strategy."""
    return {run.read_spec().strategy.label: run for run in ExperimentDir(folder / "results" / "ranks").all_runs()}


def processes_below(folder: Path) -> list[str]:
    """The command lines of living processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and int(path.name) != os.getpid():
            found.append(command)
    return found


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; returns whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Ended:
    """A ``kbench run`` that has ended, and what it left."""

    def __init__(self, folder: Path, done: "subprocess.CompletedProcess[str]") -> None:
        self.folder, self.done, self.runs = folder, done, runs(folder)

    def error(self, strategy: str) -> str:
        return str(getattr(self.runs[strategy].read().failure, "error", None))


@pytest.fixture(scope="module")
def by_ranks(tmp_path_factory: pytest.TempPathFactory, clean_env: Env) -> dict[int, Ended]:
    """The same experiment with 1, 2 and 3 ranks under mpirun."""
    found = {}
    for ranks in (1, 2, 3):
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        words = ("--launcher", "mpirun", "--set", f"ranks_per_node={ranks}")
        found[ranks] = Ended(folder, finish(start(folder, clean_env, PLAIN, *words)))
    return found


@pytest.fixture(scope="module", params=["mpirun", "local"])
def deadly(request: Any, tmp_path_factory: pytest.TempPathFactory, clean_env: Env) -> Ended:
    """Two ranks of which one dies: rank 0 by a signal and rank 1 by an exception, or the other way round."""
    folder = tmp_path_factory.mktemp(request.param)
    strategies = DEADLY % ((0, 1) if request.param == "mpirun" else (1, 0))
    words = ("--launcher", request.param, "--set", "ranks_per_node=2")
    return Ended(folder, finish(start(folder, clean_env, strategies, *words)))


@pytest.fixture(scope="module")
def disagreeing(tmp_path_factory: pytest.TempPathFactory, clean_env: Env) -> Ended:
    """Two ranks under mpirun that do not agree, in two ways."""
    folder = tmp_path_factory.mktemp("disagreeing")
    words = ("--launcher", "mpirun", "--set", "ranks_per_node=2")
    return Ended(folder, finish(start(folder, clean_env, DISAGREEING, *words, epochs=1)))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_an_experiment_of_any_number_of_ranks_is_done(by_ranks: dict[int, Ended], ranks: int) -> None:
    """Plans and weights were equal on all ranks after every epoch, as kbench itself checks."""
    ended = by_ranks[ranks]
    assert ended.done.returncode == 0, ended.done.stderr
    assert [state_of(run.read()) for run in ended.runs.values()] == [State.DONE, State.DONE]
    assert {len(run.epochs()) for run in ended.runs.values()} == {2}


@pytest.mark.parametrize("strategy", ["baseline", "kakurenbo"])
def test_how_many_samples_are_trained_does_not_depend_on_the_ranks(by_ranks: dict[int, Ended], strategy: str) -> None:
    counts = {n: [record.n_trained for record in ended.runs[strategy].epochs()] for n, ended in by_ranks.items()}
    # 1,442 images make 30 batches of 48; without a fifth, 24.
    expected = [1440, 1440] if strategy == "baseline" else [1440, 1152]
    assert counts == {1: expected, 2: expected, 3: expected}


def test_every_sample_is_trained_hidden_or_dropped_on_any_number_of_ranks(by_ranks: dict[int, Ended]) -> None:
    records = [r for ended in by_ranks.values() for run in ended.runs.values() for r in run.epochs()]
    assert [r.n_trained + r.n_hidden + r.n_dropped for r in records] == [r.n_samples for r in records]


def test_the_number_of_ranks_is_in_the_results(by_ranks: dict[int, Ended]) -> None:
    found = {n: set(pd.read_parquet(e.folder / "results/ranks/runs.parquet")["ranks"]) for n, e in by_ranks.items()}
    assert found == {1: {1}, 2: {2}, 3: {3}}


def test_runs_of_different_ranks_do_not_match_one_another(by_ranks: dict[int, Ended]) -> None:
    assert len({ended.runs["baseline"].read_spec().match_key for ended in by_ranks.values()}) == 3


def test_ranks_of_one_run_write_one_journal_and_one_provenance(by_ranks: dict[int, Ended]) -> None:
    run = by_ranks[3].runs["baseline"]
    assert len(run.journal.read_text().splitlines()) == 2
    assert (run.read().provenance.backend, len(run.read().provenance.hosts)) == ("gloo", 1)


def test_the_local_launcher_starts_several_ranks_with_torchrun(deadly: Ended) -> None:
    local = deadly.folder.name.startswith("local")
    scripts = [run.script.read_text() for run in deadly.runs.values()]
    assert ["torch.distributed.run" in script for script in scripts] == [local, local]


def test_a_run_of_which_a_rank_died_ends_with_exit_code_5(deadly: Ended) -> None:
    assert deadly.done.returncode == 5
    assert "error: 2 of 2 runs failed" in deadly.done.stderr


def test_the_other_runs_are_still_tried_when_a_rank_of_one_died(deadly: Ended) -> None:
    assert {label: (run.read().job.attempt, len(run.epochs())) for label, run in deadly.runs.items()} == {
        "baseline": (1, 1),
        "raises": (1, 1),
    }


def test_a_killed_rank_is_told_by_those_that_lost_it_or_by_its_status(deadly: Ended) -> None:
    told = deadly.error("baseline")
    assert "lost contact with another rank" in told or "killed by SIGKILL" in told


def test_an_exception_of_one_rank_is_what_is_told_of_the_run(deadly: Ended) -> None:
    failed = deadly.runs["raises"].read().failure
    assert (failed.error, failed.exception) == ("ValueError: the plan is lost", "ValueError")
    assert 'raise ValueError("the plan is lost")' in failed.traceback


def test_the_rank_that_failed_first_is_named(deadly: Ended) -> None:
    expected = 0 if deadly.folder.name.startswith("local") else 1
    assert deadly.runs["raises"].read().failure.rank == expected


def test_no_process_of_a_dead_run_is_left(deadly: Ended) -> None:
    assert until(lambda: not processes_below(deadly.folder), 20.0), processes_below(deadly.folder)


def test_a_plan_that_differs_between_the_ranks_is_refused(disagreeing: Ended) -> None:
    assert disagreeing.done.returncode == 5
    assert disagreeing.error("baseline") == "the plan of epoch 0 (train) differs between the ranks"
    assert disagreeing.runs["baseline"].epochs() == []


def test_weights_that_differ_between_the_ranks_are_noticed_after_the_epoch(disagreeing: Ended) -> None:
    assert disagreeing.error("drifts") == "the model after epoch 0 (train) differs between the ranks"
    assert disagreeing.runs["drifts"].epochs() == []


@pytest.fixture
def long_run(tmp_path: Path, clean_env: Env) -> Iterator["subprocess.Popen[str]"]:
    """A training of two ranks that would take long, in its second epoch."""
    words = ("--launcher", "mpirun", "--set", "ranks_per_node=2")
    process = start(tmp_path, clean_env, "baseline", *words, epochs=2000)
    journals = tmp_path / "results" / "ranks" / "runs"
    assert until(lambda: any(path.stat().st_size for path in journals.glob("*/epochs.jsonl")), 120.0)
    yield process
    process.kill()
    process.communicate()


def test_an_interrupted_run_leaves_no_process_and_no_failure(long_run: "subprocess.Popen[str]", tmp_path: Path) -> None:
    long_run.send_signal(signal.SIGINT)
    done = finish(long_run)
    assert done.returncode == 130
    assert until(lambda: not processes_below(tmp_path), 20.0), processes_below(tmp_path)
    (run,) = runs(tmp_path).values()
    assert (state_of(run.read()), run.read().failure) == (State.INTERRUPTED, None)


@pytest.mark.parametrize(
    ("starter", "names"),
    [("torchrun", ("RANK", "WORLD_SIZE")), ("Slurm", ("SLURM_PROCID", "SLURM_NTASKS"))],
    ids=["torchrun", "Slurm"],
)
def test_another_number_of_ranks_than_the_spec_wants_is_said(
    tmp_path: Path, run_spec: RunSpec, clean_env: Env, starter: str, names: tuple[str, str]
) -> None:
    run = RunDir(tmp_path / run_spec.run_id)
    run.prepare(run_spec)
    env = clean_env | dict(zip(names, ("1", "2"), strict=True))
    command = [sys.executable, "-m", "kbench.worker", str(run.path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    failed = json.loads((run.path / "failed.json").read_text())
    assert failed["error"] == f"{run.run_id}: 2 ranks were started by {starter}, its spec wants 1"
    hint = "check ranks_per_node and nodes of the site against its job template"
    assert (failed["exception"], failed["exit_code"], failed["hint"]) == ("LaunchError", 3, hint)
    assert failed["rank"] == 1
    assert done.stderr == f"error: {failed['error']}\nhint: {hint}\n"
