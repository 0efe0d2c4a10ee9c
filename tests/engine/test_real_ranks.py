"""Several ranks as they are really started: processes that run kbench.worker on a run's folder."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.records.folders import RunDir
from kbench.records.hits import Hits
from kbench.records.run_files import Job

pytestmark = pytest.mark.dist
Start = Callable[..., tuple[RunDir, list[int]]]
RECIPE = {"epochs": 2, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
N, TAIL = 1442, 2

DISAGREES = """\
import os
from dataclasses import dataclass
from kbench.strategies.api import EpochPlan, Strategy

@dataclass
class Rebel(Strategy):
    def plan(self, epoch, stats):
        return EpochPlan(epoch.all_ids[int(os.environ["RANK"]) :])
"""


@pytest.fixture
def start(tmp_path: Path, clean_env: dict[str, str]) -> Start:
    """``start("sb", {"beta": 2.0}, ranks=2)``: the run's folder and the ranks' exit codes when all have ended."""

    def run(name: str, params: dict[str, Any] | None = None, *, ranks: int) -> tuple[RunDir, list[int]]:
        pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE})
        choice = Choice(label="method", name=name, params=params or {})
        spec = RunSpec(experiment="ranks", pair=pair, strategy=choice, seed=0, ranks=ranks)
        folder = RunDir(tmp_path / spec.run_id)
        folder.prepare(spec)
        folder.begin(Job.of(attempt=1))
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(ranks),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "PYTHONPATH": str(tmp_path),
        }
        processes = []
        for rank in range(ranks):
            with (folder.path / f"stderr.{rank}").open("w") as words:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "kbench.worker", str(folder.path)],
                        env=clean_env | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                        stdout=subprocess.DEVNULL,
                        stderr=words,
                    )
                )
        codes = [process.wait(timeout=180) for process in processes]
        for rank, code in enumerate(codes):  # shown where a test fails
            print(f"rank {rank} ended with {code}:", (folder.path / f"stderr.{rank}").read_text())
        return folder, codes

    return run


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


@pytest.mark.parametrize(("ranks", "name", "params"), [(2, "random", {"fraction": 0.3}), (3, "baseline", {})])
def test_several_ranks_count_what_one_rank_counts(
    ranks: int, name: str, params: dict[str, Any], start: Start, training_of: Callable[..., Any]
) -> None:
    folder, codes = start(name, params, ranks=ranks)
    assert (
        codes == [0] * ranks and folder.read().done and not folder.read().failure
    )  # so plans and models agreed in every epoch
    last, hits = folder.epochs()[-1], Hits.read(folder.path)
    assert hits and hits.n_hits / hits.n_samples == last.val_acc1  # each rank saw a part of the set
    alone = training_of(name, params, epochs=2).records
    counts = ("phase", "epoch", "lr", "lr_scale", "n_trained", "n_scored", "n_refreshed", "n_hidden", "n_dropped")
    for ours, theirs in zip(folder.epochs(), alone, strict=True):
        assert {key: getattr(ours, key) for key in counts} == {key: getattr(theirs, key) for key in counts}
        # The same global batches: only BatchNorm's statistics are those of smaller parts.
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.25)


def test_two_ranks_hide_and_measure_again_together(start: Start) -> None:
    folder, codes = start("kakurenbo", {"fraction": 0.3, "confidence": 0.2}, ranks=2)
    first, last = folder.epochs()
    assert codes == [0, 0] and first.n_hidden == 0 < last.n_hidden <= int(0.3 * N)
    assert all(r.n_trained + r.n_hidden + r.n_dropped == N for r in (first, last))


def test_three_ranks_that_choose_for_themselves_take_equally_many_steps(start: Start) -> None:
    folder, codes = start("sb", ranks=3)
    primed, choosing = folder.epochs()
    assert codes == [0, 0, 0] and (primed.n_trained, primed.n_scored) == (1440, 0)
    assert choosing.n_scored == 1440 and choosing.n_trained % 48 == 0
    assert 0.3 < (choosing.n_trained + choosing.n_dropped - TAIL) / 1440 < 0.7


def test_ranks_that_plan_differently_end_in_one_sentence(tmp_path: Path, start: Start) -> None:
    (tmp_path / "rebels_of_a_test.py").write_text(DISAGREES)
    folder, codes = start("rebels_of_a_test:Rebel", ranks=2)
    assert codes == [5, 5] and not folder.read().done and not folder.epochs()
    assert folder.read().failure.error == "the plan of epoch 0 (train) differs between the ranks"


def test_three_ranks_that_draw_from_pools_switch_at_the_same_step(start: Start) -> None:
    folder, codes = start("kf18", {"threshold": 1.0, "momentum": 0.0}, ranks=3)
    switching, drawing = folder.epochs()  # 10 times 3 global batches of candidates; the first are trained as they are
    assert codes == [0, 0, 0]
    assert (switching.n_trained, switching.n_scored) == ((3 + 9) * 48, 9 * 144)
    assert (drawing.n_trained, drawing.n_scored, drawing.n_dropped) == (480, 1440, TAIL)


def test_two_ranks_that_keep_by_cached_losses_take_equally_many_steps(start: Start) -> None:
    folder, codes = start("sb-stale", ranks=2)
    primed, stale = folder.epochs()
    assert codes == [0, 0] and (primed.n_trained, primed.n_scored) == (1440, 0)
    assert stale.n_scored == 0 and stale.n_trained % 48 == 0
    assert 0.3 < (stale.n_trained + stale.n_dropped - TAIL) / 1440 < 0.7
