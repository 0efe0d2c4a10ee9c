"""What a run writes of itself: where it was made, how it went, and, last of all, how it ended."""

import errno
import io
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch

import kbench as package
from kbench.config.experiment import Pair
from kbench.config.run_spec import Origin, RunSpec
from kbench.config.strategy_choice import Choice
from kbench.engine.checkpoint import digest_of, final_weights, sealed, unsealed
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.ranks import RankEnv
from kbench.errors import RunError
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.hits import Hits
from kbench.records.journal import PhaseLength
from kbench.records.liveness import state_of
from kbench.records.run_files import Done, Job
from kbench.records.run_state import State
from kbench.records.schema import EpochRecord
from kbench.worker.rank import work
from kbench.worker.reporting import name_of_all

Numbers = Callable[[Iterable[EpochRecord]], list[dict[str, Any]]]

CRASH = '''
from dataclasses import dataclass

from kbench.strategies.api import EpochPlan, Strategy


@dataclass
class Crashes(Strategy):
    """Fails in epoch 1, by a bug of its own."""

    def plan(self, epoch, stats):
        if epoch.index == 1:
            return EpochPlan(epoch.all_ids[[1, 2], 3])
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
    return {run.read_spec().strategy.label: run for run in ExperimentDir(crashed / "results" / "crash").all_runs()}


def facts(run: RunDir, *keys: str) -> dict[str, Any]:
    return {key: getattr(run.read().failure, key) for key in keys}


def test_a_crash_of_one_strategy_leaves_the_others_done(runs: dict[str, RunDir]) -> None:
    states = {label: state_of(run.read()) for label, run in runs.items()}
    assert states == {"baseline": State.DONE, "crashes": State.FAILED}


def test_a_crash_of_one_strategy_is_exit_code_5_after_all_were_tried(crashed: Path, runs: dict[str, RunDir]) -> None:
    returned, said = json.loads((crashed / "returned.json").read_text())
    assert returned == 5
    assert "1 of 2 runs failed" in said
    assert [len(run.epochs()) for run in runs.values()] == [2, 1]


def test_a_bug_is_told_by_its_kind_with_where_to_look(runs: dict[str, RunDir]) -> None:
    assert facts(runs["crashes"], "error", "hint", "exception", "exit_code", "attempt") == {
        "error": "IndexError: too many indices for tensor of dimension 1",
        "hint": "a bug of kbench or of a strategy; see stderr.log",
        "exception": "IndexError",
        "exit_code": 1,
        "attempt": 1,
    }


def test_a_bug_is_told_with_its_traceback(runs: dict[str, RunDir]) -> None:
    trace = runs["crashes"].read().failure.traceback
    assert trace.startswith("Traceback (most recent call last):")
    assert "return EpochPlan(epoch.all_ids[[1, 2], 3])" in trace
    assert "IndexError" in runs["crashes"].stderr.read_text()


def test_a_run_that_failed_is_not_done(runs: dict[str, RunDir]) -> None:
    assert not (runs["crashes"].path / "done.json").exists()


def test_a_run_that_is_done_has_not_failed(runs: dict[str, RunDir]) -> None:
    assert not (runs["baseline"].path / "failed.json").exists()


def test_a_run_that_is_done_has_the_hits_of_its_last_evaluation(runs: dict[str, RunDir]) -> None:
    last, hits = runs["baseline"].read().last, Hits.read(runs["baseline"].path)
    assert hits and last and (hits.attempt, hits.n_samples) == (1, 355)
    assert hits.n_hits / hits.n_samples == last.val_acc1
    assert Hits.read(runs["crashes"].path) is None


@pytest.mark.parametrize(("label", "last"), [("baseline", "done.json"), ("crashes", "failed.json")])
def test_how_a_run_ended_is_the_last_file_that_it_wrote(runs: dict[str, RunDir], label: str, last: str) -> None:
    folder = runs[label].path
    own = ("done.json", "failed.json", "hits.json", "epochs.jsonl", "provenance.json", "spec.json")
    written = {name: (folder / name).stat().st_mtime_ns for name in own if (folder / name).exists()}
    assert max(written, key=lambda name: written[name]) == last


def test_the_end_of_a_run_names_its_attempt_and_the_phase_that_counts(runs: dict[str, RunDir]) -> None:
    done = runs["baseline"].read().done
    assert (done.attempt, done.last_phase) == (1, "train")


def test_a_run_notes_with_which_versions_it_was_made(runs: dict[str, RunDir]) -> None:
    versions = {
        key: getattr(runs["baseline"].read().provenance, key)
        for key in ("kbench_version", "python_version", "torch_version")
    }
    assert versions == {
        "kbench_version": package.__version__,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
    }


def test_a_run_notes_where_and_with_how_many_threads_it_was_made(runs: dict[str, RunDir]) -> None:
    told = runs["baseline"].read().provenance
    threads = next(
        int(line.rpartition("=")[2])
        for line in runs["baseline"].script.read_text().splitlines()
        if "OMP_NUM_THREADS" in line
    )
    assert (told.hosts, told.threads_per_rank, told.max_parallel) == ((socket.gethostname(),), threads, 1)


def test_a_run_notes_on_what_it_trained(runs: dict[str, RunDir]) -> None:
    told = runs["baseline"].read().provenance
    on_gpu = torch.cuda.is_available()
    assert told.device_name == (torch.cuda.get_device_name(0) if on_gpu else told.processor)
    assert (told.n_devices, told.backend) == (int(on_gpu), None)


def test_a_run_that_failed_notes_where_it_was_made_too(runs: dict[str, RunDir]) -> None:
    assert runs["crashes"].read().provenance.hosts == (socket.gethostname(),)


def test_a_run_prints_a_line_per_epoch(runs: dict[str, RunDir]) -> None:
    lines = runs["baseline"].stdout.read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["train", "1"], ["train", "2"]]


def test_a_folder_without_a_spec_is_said_to_be_none(tmp_path: Path, clean_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "kbench.worker", str(tmp_path)]
    done = subprocess.run(command, env=clean_env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 6
    assert f"{tmp_path / 'spec.json'}: is no spec of a run" in done.stderr


# a run in this process

ALONE = RankEnv(starter="none", rank=0, size=1, local_rank=0, master=None)
Folder = Callable[..., RunDir]


@pytest.fixture
def folder_of(tmp_path: Path, pair: Pair) -> Folder:
    """``folder_of("random", {"like": "sb"}, follows="sb")``: the folder of a run of two epochs, about to start."""

    def make(name: str = "baseline", params: dict[str, Any] | None = None, *, follows: str = "") -> RunDir:
        short = pair.model_copy(update={"recipe": pair.recipe.model_copy(update={"epochs": 2})})
        choice, leader = Choice(label=name, name=name, params=params or {}), Choice(label=follows or "x", name=follows)
        spec = RunSpec(
            experiment="w", pair=short, strategy=choice, follows=leader if follows else None, seed=0, ranks=1
        )
        folder = RunDir(tmp_path / spec.run_id)
        folder.prepare(spec)
        begin(folder, 1)
        return folder

    return make


def begin(folder: RunDir, attempt: int) -> None:
    folder.begin(Job.of(attempt=attempt).updated(threads_per_rank=1, launcher="local"))


def saved(folder: RunDir) -> dict[str, Any]:
    """What a checkpoint holds."""
    found: dict[str, Any] = torch.load(io.BytesIO(unsealed(folder.checkpoint.read_bytes())), weights_only=True)
    return found


def test_a_run_that_missed_its_end_only_writes_it(folder_of: Folder) -> None:
    folder = folder_of()
    work(folder, ALONE)
    first, told, hits = folder.read().done, folder.journal.read_bytes(), Hits.read(folder.path)
    begin(folder, 2)
    work(folder, ALONE)
    assert hits and Hits.read(folder.path) == hits  # of the attempt that evaluated the last epoch
    assert folder.journal.read_bytes() == told and folder.read().done.attempt == 2
    same = ("weights_digest", "final_digest", "order_digest", "augment_digest", "last_phase")
    assert [getattr(folder.read().done, key) for key in same] == [getattr(first, key) for key in same]
    assert first.final_digest == digest_of(saved(folder)["state"])


def test_a_run_goes_on_without_checkpoints_where_there_is_no_room_and_none_may_begin_with_its_weights(
    folder_of: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = folder_of(), Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.startswith(".checkpoint") and folder.checkpoint.exists():
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    work(folder, ALONE)
    said = capsys.readouterr().err
    assert f"warning: no checkpoint after epoch 2: {folder.checkpoint}: cannot be written: Disk quota exceeded" in said
    done = folder.read().done
    assert done is not None and len(folder.epochs()) == 2
    with pytest.raises(RunError, match="checkpoint.pt holds other weights than those that it ended with") as caught:
        final_weights(folder, done.final_digest)
    assert caught.value.hint == f"train it again: kbench run EXPERIMENT --redo {folder.run_id}"


def test_only_the_weights_on_record_are_begun_with(folder_of: Folder) -> None:
    folder = folder_of()
    work(folder, ALONE)
    done = folder.read().done
    assert done is not None and set(final_weights(folder, done.final_digest)) == set(saved(folder)["state"]["module"])
    with pytest.raises(RunError, match="so an older kbench wrote it, and this run begins with its weights"):
        final_weights(folder, None)
    folder.checkpoint.write_bytes(b"torn")
    with pytest.raises(RunError, match=r"checkpoint.pt cannot be read \(it has no checksum\), and this run begins"):
        final_weights(folder, done.final_digest)
    folder.checkpoint.unlink()
    with pytest.raises(RunError, match="its checkpoint is gone"):
        final_weights(folder, done.final_digest)


@pytest.mark.parametrize("content", [b"torn", None], ids=["unreadable", "another make"])
def test_a_checkpoint_of_no_use_is_said_and_the_run_begins_anew(
    content: bytes | None, folder_of: Folder, capsys: pytest.CaptureFixture[str], numbers: Numbers
) -> None:
    folder = folder_of()
    work(folder, ALONE)
    whole = numbers(folder.epochs())
    if content is None:
        state = saved(folder)
        folder.checkpoint.write_bytes(sealed(state | {"made_by": state["made_by"] | {"commit": "another"}}))
    else:
        folder.checkpoint.write_bytes(content)
    begin(folder, 2)
    capsys.readouterr()
    work(folder, ALONE)
    why = "cannot be read (" if content else "is of another make (commit)"
    said = capsys.readouterr().err
    assert said.startswith(f"warning: checkpoint.pt {why}") and said.endswith("; the run begins anew\n")
    assert [record.attempt for record in folder.epochs()] == [2, 2] and numbers(folder.epochs()) == whole


def test_a_checkpoint_names_what_must_not_change_within_a_run(folder_of: Folder) -> None:
    folder = folder_of()
    work(folder, ALONE)
    made_by = saved(folder)["made_by"]
    same = ("commit", "dirty", "kbench_version", "torch_version", "device_name", "threads_per_rank", "spin")
    assert made_by == {"run_id": folder.run_id, "in_turns": False} | {
        key: getattr(folder.read().provenance, key) for key in same
    }


def test_a_run_notes_how_many_epochs_all_its_phases_have(folder_of: Folder) -> None:
    folder = folder_of("budget", {"share": 0.5})
    work(folder, ALONE)
    assert folder.read().n_epochs == len(folder.epochs()) == 1
    assert (folder.read().provenance.launcher, folder.read().provenance.metric) == ("local", "top1")


def test_a_run_that_follows_one_that_is_not_done_is_refused(folder_of: Folder) -> None:
    leader, follower = folder_of("sb"), folder_of("random", {"like": "sb"}, follows="sb")
    with pytest.raises(RunError, match=f"{leader.run_id} is not done, and this run follows it") as caught:
        work(follower, ALONE)
    assert caught.value.hint == "kbench run starts both in their order"
    assert not follower.journal.exists()


@pytest.mark.parametrize("purpose", ["follows it", "begins with its weights"])
def test_a_run_that_needs_a_damaged_one_is_refused(purpose: str, folder_of: Folder) -> None:
    leader, spec = folder_of("sb"), folder_of("random", {"like": "sb"}, follows="sb").read_spec()
    if purpose != "follows it":
        upstream = Origin(pair=spec.pair, strategy=leader.read_spec().strategy)
        spec = spec.model_copy(update={"follows": None, "upstream": upstream})
    other = leader.sibling(spec.run_id)
    other.prepare(spec)
    leader.journal.write_text("nonsense\n")
    leader.finish(Done.of(attempt=1, phases=[PhaseLength(name="train", epochs=2)]))
    begin(other, 1)
    damage = f"{leader.run_id} is damaged, and this run {purpose}: epochs.jsonl: line 1 is no record of an epoch"
    with pytest.raises(RunError, match=damage):
        work(other, ALONE)


def test_a_run_follows_what_the_other_counted(folder_of: Folder) -> None:
    leader, follower = folder_of("sb"), folder_of("random", {"like": "sb"}, follows="sb")
    for folder in (leader, follower):
        work(folder, ALONE)
    assert [r.n_trained for r in follower.epochs()] == [r.n_trained for r in leader.epochs()]
    assert leader.epochs()[1].n_trained < 1000
    shared = ("weights_digest", "order_digest", "augment_digest")
    assert [getattr(leader.read().done, key) for key in shared] == [
        getattr(follower.read().done, key) for key in shared
    ]


# a run that is killed

LONG = """\
name: long
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 6, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}
strategies:
  - {sb: {window: 512}, label: baseline}
seeds: [0]
"""


def test_a_killed_run_goes_on_with_retry(
    tmp_path: Path, clean_env: dict[str, str], processes_of: Callable[[Path], list[int]], numbers: Numbers
) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    command = [sys.executable, "-m", "kbench", "run", "long.yaml", "--quiet", "--set", "threads_per_rank=1"]
    experiment = ExperimentDir(tmp_path / "results" / "long")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=clean_env, **pipes) as front:
        deadline = time.monotonic() + 180
        while not any(run.checkpoint.exists() for run in experiment.all_runs()):
            assert time.monotonic() < deadline and front.poll() is None
            time.sleep(0.005)
        (run,) = experiment.all_runs()
        (worker,) = (
            pid for pid in processes_of(run.path) if b"kbench.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        said = front.communicate(timeout=120)[1]
    assert front.returncode == 5 and "a rank was killed by SIGKILL" in said
    n_before = len(run.epochs())

    again = subprocess.run([*command, "--retry"], cwd=tmp_path, env=clean_env, **pipes, timeout=300)
    assert again.returncode == 0, again.stderr
    epochs = pd.read_parquet(experiment.epochs)
    assert epochs.epoch.tolist() == list(range(6)) and set(epochs.attempt) == {1, 2} and 1 <= n_before < 6
    assert epochs.elapsed_s.tolist() == pytest.approx(epochs.train_s.cumsum().tolist())
    row = pd.read_parquet(experiment.runs).iloc[0]
    assert (row.state, row.attempts, row.epochs_done) == ("done", 2, 6)
    assert row.n_trained == epochs.n_trained.sum() and row.total_train_s == pytest.approx(epochs.train_s.sum())

    whole = RunDir(tmp_path / run.run_id)
    whole.prepare(run.read_spec())
    begin(whole, 1)
    work(whole, ALONE)
    assert numbers(run.epochs()) == numbers(whole.epochs())


@pytest.mark.parametrize("names", [("A", "A", "A"), ("B", "A", "B")])
def test_ranks_on_different_devices_are_recorded_with_all_kinds_and_a_warning(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    comm = cast(Comm, SimpleNamespace(rank=0, gather_text=lambda _: list(names)))
    differ = len(set(names)) > 1
    assert name_of_all(names[0], comm) == ("A + B" if differ else "A")
    assert ("the ranks' devices differ (A, B)" in capsys.readouterr().err) is differ
