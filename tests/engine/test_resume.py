"""Ranks that are killed without warning and started again: the run goes on as if nothing had happened."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from kbench import files
from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.engine.checkpoint import unsealed
from kbench.records.folders import RunDir
from kbench.records.run_files import Job
from kbench.records.schema import EpochRecord

Numbers = Callable[[Iterable[EpochRecord]], list[dict[str, Any]]]

pytestmark = pytest.mark.dist
RECIPE = {"epochs": 4, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
Ranks = list[subprocess.Popen[bytes]]


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., RunDir]:
    """``folder_of("sb", {}, ranks=2, place="whole")``: the folder of a run that was never started."""

    def make(name: str, params: dict[str, Any], *, ranks: int, place: str) -> RunDir:
        pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE})
        choice = Choice(label="method", name=name, params=params)
        spec = RunSpec(experiment="resume", pair=pair, strategy=choice, seed=0, ranks=ranks)
        folder = RunDir(tmp_path / place / spec.run_id)
        folder.prepare(spec)
        return folder

    return make


@pytest.fixture
def start(clean_env: dict[str, str]) -> Callable[[RunDir], Ranks]:
    """Start the ranks of the next attempt."""

    def begin(folder: RunDir) -> Ranks:
        folder.begin(Job.of(attempt=folder.read_attempt() + 1).updated(threads_per_rank=1))
        with socket.socket() as asking:
            asking.bind(("127.0.0.1", 0))
            port = str(asking.getsockname()[1])
        ranks = folder.read_spec().ranks
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "kbench.worker", str(folder.path)]
        with folder.stderr.open("ab") as words:
            return [
                subprocess.Popen(
                    command,
                    env=clean_env | shared | {"GLOO_SOCKET_IFNAME": "lo", "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    **{"stdout": subprocess.DEVNULL, "stderr": words},
                )
                for rank in range(ranks)
            ]

    return begin


def kill_at(lines: int, folder: RunDir, ranks: Ranks) -> None:
    """Kill all ranks as soon as the journal has so many lines."""
    deadline = time.monotonic() + 180
    while len(list(files.read(folder.journal))) < lines:
        assert time.monotonic() < deadline and all(rank.poll() is None for rank in ranks), folder.stderr.read_text()
        time.sleep(0.005)
    for rank in ranks:
        os.kill(rank.pid, signal.SIGKILL)
    assert [rank.wait() for rank in ranks] == [-signal.SIGKILL] * len(ranks)


@pytest.mark.parametrize(
    ("ranks", "name", "params", "lines", "own"),
    [
        (2, "sb", {"window": 512}, 2, {"recent"}),
        (3, "autoassist", {"lr": 0.1}, 3, {"pixels", "labels", "sums"}),
        (2, "forget", {"score_epochs": 2}, 2, set()),
    ],
)
def test_killed_ranks_go_on_as_if_nothing_had_happened(
    ranks: int,
    name: str,
    params: dict[str, Any],
    lines: int,
    own: set[str],
    folder_of: Callable[..., RunDir],
    start: Callable[[RunDir], Ranks],
    numbers: Numbers,
) -> None:
    whole, killed = (folder_of(name, params, ranks=ranks, place=place) for place in ("whole", "killed"))
    assert [rank.wait(timeout=180) for rank in start(whole)] == [0] * ranks, whole.stderr.read_text()
    kill_at(lines, killed, start(killed))
    assert [rank.wait(timeout=180) for rank in start(killed)] == [0] * ranks, killed.stderr.read_text()

    assert killed.read().done.attempt == 2 and "warning" not in killed.stderr.read_text()
    assert numbers(killed.epochs()) == numbers(whole.epochs()) and len(whole.epochs()) in (4, 6)
    attempts = [record.attempt for record in killed.epochs()]
    assert attempts == sorted(attempts) and attempts[lines - 2] == 1 and attempts[-1] == 2
    spent = [record.train_s for record in killed.epochs()]
    assert [r.elapsed_s for r in killed.epochs()] == pytest.approx([sum(spent[: i + 1]) for i in range(len(spent))])
    state = torch.load(io.BytesIO(unsealed(killed.checkpoint.read_bytes())), weights_only=True)["state"]
    assert [set(memory) for memory in state["memory_of_rank"]] == [own] * ranks
    assert not own & set(state["memory"])


def test_two_ranks_that_refresh_in_training_mode_still_have_one_model(
    folder_of: Callable[..., RunDir], start: Callable[[RunDir], Ranks]
) -> None:
    params = {"fraction": 0.31, "confidence": 0.0, "refresh_in": "train"}
    folder = folder_of("kakurenbo", params, ranks=2, place="coded")
    assert [rank.wait(timeout=180) for rank in start(folder)] == [0, 0], folder.stderr.read_text()
    assert folder.epochs()[1].n_refreshed > 48
