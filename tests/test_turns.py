"""Runs in turn: one process holds a block, each trains as it would alone, and one that fails stops no other."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import torch

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.data.loader import Arrays
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv
from kbench.errors import RunError
from kbench.experiment.dependencies import RunQueue
from kbench.launch import failure, worker_job
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Done, Job
from kbench.records.run_state import FailureKind
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload
from kbench.worker import turns
from kbench.worker.rank import Leave, work, work_in_turns
from kbench.worker.turns import Player, Round, order, whose_turn

CPU = torch.device("cpu")
ALONE = RankEnv(starter="none", rank=0, size=1, local_rank=0, master=None)
LOSSES = ("train_loss", "val_loss", "val_acc1", "n_trained", "n_refreshed", "n_hidden", "lr")
STRATEGIES = {
    "baseline": {},
    "kakurenbo": {"fraction": 0.3, "milestones": [2], "shares": [1.0, 0.5]},
    "sb": {},
}
CRASH = '''
from dataclasses import dataclass
import os

from kbench.strategies.api import Strategy


@dataclass
class Dies(Strategy):
    """Ends its process in epoch 1, as a kernel that lacks memory would."""

    def plan(self, epoch, stats):
        if epoch.index == 1:
            os._exit(9)
        return super().plan(epoch, stats)
'''
EXPERIMENT = """\
name: turns
pairing: turns
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 2, global_batch: 240, lr: 0.05, schedule: cosine, augment: shift}
strategies:
  - baseline
  - {"crash:Dies": {}, label: dies}
seeds: [0]
"""


# the order of a round


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_over_rounds_each_has_every_place_and_follows_every_other_equally_often(n: int) -> None:
    rows = [order(n, turn) for turn in range(2 * n)]
    assert all(sorted(row) == list(range(n)) for row in rows)
    places = Counter((run, place) for row in rows for place, run in enumerate(row))
    neighbours = Counter(pair for row in rows for pair in zip(row[:-1], row[1:], strict=True))
    assert set(places.values()) == {2}
    assert len(neighbours) == n * (n - 1) and len(set(neighbours.values())) <= 1


# rounds, with runs that are played


def player(folder: Path, name: str, n_epochs: int, log: list[str]) -> Player:
    run_dir = RunDir(folder / name)
    run_dir.path.mkdir()

    def epochs() -> Iterator[Run]:
        for epoch in range(n_epochs):
            log.append(f"{name}{epoch}")
            print(f"{name} prints {epoch}")
            yield Run.__new__(Run)

    return Player(run_dir, epochs())


def test_a_run_that_ends_leaves_and_each_prints_into_its_own_log(tmp_path: Path) -> None:
    log: list[str] = []
    players = [player(tmp_path, name, n, log) for name, n in (("a", 1), ("b", 3), ("c", 2))]
    Round(players, Comm(), CPU).play()
    assert sorted(log) == ["a0", "b0", "b1", "b2", "c0", "c1"]
    assert log.index("c1") < log.index("b2") and log[-1] == "b2"
    assert (tmp_path / "b" / "stdout.log").read_text().count("b prints") == 3
    assert "a prints" not in (tmp_path / "b" / "stdout.log").read_text()


def test_only_a_run_that_waited_for_another_is_warmed_up_again(tmp_path: Path) -> None:
    log: list[str] = []
    one, two = (player(tmp_path, name, n, log) for name, n in (("a", 2), ("b", 5)))
    Round([one, two], Comm(), CPU).play()
    assert log[-2:] == ["b3", "b4"]
    alone = player(tmp_path, "c", 1, log)
    session = Round([alone], Comm(), CPU)
    session._turn(alone)
    assert alone.run is not None
    alone.run.has_waited = False
    session._last = two
    session._turn(alone)
    assert alone.run is None  # it had ended


def test_a_run_that_was_told_to_end_gets_no_other_turn(tmp_path: Path) -> None:
    log: list[str] = []
    one, two = (player(tmp_path, name, 4, log) for name in ("a", "b"))
    session = Round([one, two], Comm(), CPU)
    session._turn(one)
    one.folder.stop.touch()
    session._turn(one)
    assert one.run is None and log == ["a0"]


def test_what_does_not_fit_into_memory_is_refused_with_the_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([0, 3 * 10**9])
    monkeypatch.setattr(turns, "peak_memory_bytes", lambda _: next(used))
    monkeypatch.setattr(turns, "free_bytes", lambda _: 5 * 10**9)
    session = Round([player(tmp_path, name, 2, []) for name in "abc"], Comm(), CPU)
    with pytest.raises(RunError, match="3 runs take turns: the others need about 6.00 GB, 5.00 GB are free"):
        session.play()
    assert session.playing and session.playing.folder.run_id == "b"


def test_a_turn_that_hangs_fails_its_run_and_ends_the_process(
    tmp_path: Path, run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ended = RunDir(tmp_path / run_spec.run_id), threading.Event()
    folder.prepare(run_spec)
    folder.begin(Job.of(attempt=1))
    monkeypatch.setattr(os, "_exit", lambda _: ended.set())
    with turns.in_turn(folder, rank=0, limit_s=0.01):
        assert ended.wait(60)
    found = folder.read().failure
    assert found and found.error == "hangs: no end of its epoch after 0 s" and found.kind.needs_retry


# real runs


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tenth of the digits, on one thread."""

    def opened(pair: Pair, device: torch.device, *, root: str) -> Workload:
        workload = Workload(pair, device, root=root)
        assert isinstance(workload.train, Arrays) and isinstance(workload.val, Arrays)
        workload.train = Arrays(workload.train.x[:144], workload.train.y[:144])
        workload.val = Arrays(workload.val.x[:48], workload.val.y[:48])
        workload.n_samples = 144
        return workload

    monkeypatch.setattr("kbench.worker.setup.Workload", opened)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def prepared(folder: Path, run_spec: RunSpec, label: str, *, pairing: str) -> RunDir:
    choice = Choice(label=label, name=label, params=STRATEGIES[label])
    run = RunDir(folder / label)
    run.prepare(run_spec.model_copy(update={"strategy": choice}))
    run.begin(Job.of(attempt=1, pairing=pairing).updated(threads_per_rank=1))
    return run


def losses(run: RunDir) -> list[list[object]]:
    return [[getattr(record, column) for column in LOSSES] for record in run.epochs()]


def test_a_run_in_turn_has_the_losses_that_it_has_alone_and_goes_on_after_a_kill(
    tmp_path: Path, run_spec: RunSpec, few_samples: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [prepared(tmp_path / "alone", run_spec, label, pairing="none") for label in STRATEGIES]
    for run in alone:
        work(run, ALONE)
    together = [prepared(tmp_path / "turns", run_spec, label, pairing="turns") for label in STRATEGIES]
    turn, n_turns = Round._turn, 0

    def killed_at_the_fifth(self: Round, one: Player) -> None:
        nonlocal n_turns
        n_turns += 1
        if n_turns == 5:
            raise KeyboardInterrupt
        turn(self, one)

    with monkeypatch.context() as patched:
        patched.setattr(Round, "_turn", killed_at_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            work_in_turns(together, ALONE)
    assert Counter(len(run.epochs()) for run in together) == {1: 2, 2: 1}
    for run in together:
        run.begin(Job.of(attempt=2, pairing="turns").updated(threads_per_rank=1))
    work_in_turns(together, ALONE)
    assert [run.read().state_on_record for run in together] == ["done"] * 3
    assert [losses(run) for run in together] == [losses(run) for run in alone]
    assert {run.read().provenance.pairing for run in together} == {"turns"}
    assert {len({record.attempt for record in run.epochs()}) for run in together} == {2}


def test_an_attempt_that_another_took_over_leaves_and_the_others_go_on(
    tmp_path: Path, run_spec: RunSpec, few_samples: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (prepared(tmp_path, run_spec, label, pairing="turns") for label in ("baseline", "sb"))
    turn = Round._turn

    def taken_over(self: Round, one: Player) -> None:
        if one.folder == first and one.n_turns == 1:
            Job.of(attempt=2).write(first.path)
        turn(self, one)

    monkeypatch.setattr(Round, "_turn", taken_over)
    work_in_turns([first, second], ALONE)
    assert not first.is_done() and second.is_done()
    assert "left: attempt 2 has taken over from attempt 1" in first.stderr.read_text()
    assert issubclass(Leave, Exception)


def test_warming_up_again_changes_nothing_of_a_training(run_spec: RunSpec) -> None:
    workload = Workload(run_spec.pair, CPU)
    learner, batch = Learner(workload, 0, Comm()), Batch(*next(workload.batches([torch.arange(48)], key=0)))
    learner.step(batch, 0.05, PhaseTimer(CPU))
    before = {name: value.clone() for name, value in learner.module.state_dict().items()}
    momentum = [state["momentum_buffer"].clone() for state in learner.optimizer.state.values()]
    learner.warm_up_again(batch)
    assert all(torch.equal(value, before[name]) for name, value in learner.module.state_dict().items())
    after = [state["momentum_buffer"] for state in learner.optimizer.state.values()]
    assert momentum and all(map(torch.equal, momentum, after))
    assert {parameter.grad for parameter in learner.module.parameters()} == {None}


# which start together


def test_runs_of_a_block_start_together_once_what_they_follow_is_done(tmp_path: Path, run_spec: RunSpec) -> None:
    like = Choice(label="random", name="random", params={"like": "baseline"})
    choices = {label: Choice(label=label, name=label) for label in ("baseline", "sb")}
    specs = [run_spec.model_copy(update={"strategy": choice}) for choice in choices.values()]
    specs.insert(1, run_spec.model_copy(update={"strategy": like, "follows": choices["baseline"]}))
    specs.append(specs[0].model_copy(update={"seed": 1}))
    runs = [RunDir(tmp_path / spec.run_id) for spec in specs]
    for run, spec in zip(runs, specs, strict=True):
        run.prepare(spec)
    queue = RunQueue(runs)
    assert queue.next_runs([], in_turns=True) == [runs[0], runs[2]]
    assert queue.next_runs([runs[0].run_id], in_turns=True) == [runs[3]]
    runs[0].begin(Job.of(attempt=1))
    runs[0].finish(Done.of(attempt=1, phases=()))
    queue.put_back([runs[2]])
    assert queue.next_runs([], in_turns=True) == [runs[2], runs[1]]


def test_a_scheduler_job_trains_a_block_together_and_what_follows_one_of_it_afterwards(
    tmp_path: Path, run_spec: RunSpec
) -> None:
    baseline = Choice(label="baseline", name="baseline")
    like = Choice(label="random", name="random", params={"like": "baseline"})
    first, other = (run_spec.model_copy(update={"seed": seed, "strategy": baseline}) for seed in (0, 1))
    specs = [first.model_copy(update={"strategy": like, "follows": baseline}), first, other]
    runs = [RunDir(tmp_path / spec.run_id) for spec in specs]
    for pairing, expected in (("turns", [[runs[1], runs[2]], [runs[0]]]), ("node", [[run] for run in runs])):
        for run, spec in zip(runs, specs, strict=True):
            run.prepare(spec)
            run.begin(Job.of(attempt=1, pairing=pairing))
        assert list(worker_job.groups(runs)) == expected


# who is to blame


@pytest.fixture
def block(tmp_path: Path, run_spec: RunSpec) -> list[RunDir]:
    """Three runs that were started together."""
    runs = [RunDir(tmp_path / f"run{i}") for i in range(3)]
    for run in runs:
        run.prepare(run_spec)
        run.begin(Job.of(attempt=1, pairing="turns"))
    return runs


def kinds(runs: list[RunDir]) -> list[FailureKind | None]:
    return [end.kind if (end := run.read().failure) else None for run in runs]


def test_of_a_process_that_was_killed_the_run_in_its_turn_is_to_blame(block: list[RunDir]) -> None:
    block[1].turn.touch()
    assert whose_turn(block) == block[1]
    failure.write_all(block, 137)
    assert kinds(block) == [FailureKind.BLOCK_ENDED, FailureKind.DIED, FailureKind.BLOCK_ENDED]
    assert [failure.lost_its_block(run) for run in block] == [True, False, True]
    assert not FailureKind.BLOCK_ENDED.needs_retry


def test_of_a_process_that_never_gave_a_turn_every_run_has_failed(block: list[RunDir]) -> None:
    failure.write_all(block, 1)
    assert kinds(block) == [FailureKind.DIED] * 3


def test_a_new_attempt_forgets_whose_turn_it_was(block: list[RunDir]) -> None:
    block[0].turn.touch()
    block[0].begin(Job.of(attempt=2))
    assert whose_turn(block) is None


# the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """A folder in which ``kbench run`` trained a block in turns; one of its runs killed the process."""
    place = tmp_path_factory.mktemp("turns")
    (place / "crash.py").write_text(CRASH)
    (place / "turns.yaml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "kbench", "run", "turns.yaml", "--set", "threads_per_rank=1"]
    env = clean_env | {"PYTHONPATH": str(place)}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=580)
    (place / "returned.json").write_text(json.dumps([done.returncode, done.stderr]))
    return place


@pytest.mark.trains
def test_a_run_that_kills_the_process_fails_and_the_others_end_well(folder: Path) -> None:
    status, stderr = json.loads((folder / "returned.json").read_text())
    runs = {
        run.read_spec().strategy.label: run.read() for run in ExperimentDir(folder / "results" / "turns").all_runs()
    }
    assert {label: run.state_on_record for label, run in runs.items()} == {
        "baseline": "done",
        "dies": "failed",
    }, stderr
    assert status == 5
    assert runs["dies"].failure and runs["dies"].failure.kind == FailureKind.DIED
    assert [len(runs[label].epochs) for label in ("baseline", "dies")] == [2, 1]


@pytest.mark.trains
def test_the_instrument_is_in_the_table_and_in_the_key(folder: Path) -> None:
    path = folder / "results" / "turns" / "runs.parquet"
    rows = duckdb.sql(f"select strategy, pairing, match_key, run_id from '{path}'").fetchall()
    assert {row[1] for row in rows} == {"turns"}
    assert len({row[2] for row in rows}) == 1 and "-" in rows[0][2]
