"""Streams that a method moves are put back and told, and nobody trains otherwise for it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.conformance.ranks import train_on_ranks
from kbench.engine.loop import Run, train
from kbench.engine.runtime.guard import Guarded
from kbench.records.folders import RunDir
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, Probe, SampleStats, Strategy

CPU = torch.device("cpu")
SOME = SampleStats(torch.ones(4), torch.ones(4) > 0, torch.ones(4), torch.zeros(4), torch.zeros(4, dtype=torch.int16))
BATCH = Batch(torch.arange(4), torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64))
MEASURED = Measured(torch.ones(4), torch.ones(4) > 0, torch.ones(4), torch.zeros(4))

DRAWS: dict[str, Callable[[], Any]] = {
    "random": random.random,
    "numpy": lambda: np.random.random(3),
    "torch": lambda: torch.rand(3),
}


@dataclass
class Draws(Strategy):
    """The baseline, but one of its hooks draws from a stream of everybody's."""

    hook: str
    library: str

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.draw("plan")
        return super().plan(epoch, stats)

    def select(self, batch: Batch, probe: Probe) -> Tensor | None:
        self.draw("select")
        return None

    def observe(self, batch: Batch, measured: Measured) -> None:
        self.draw("observe")

    def draw(self, hook: str) -> None:
        if hook == self.hook:
            DRAWS[self.library]()


def streams() -> list[Any]:
    name, keys, *rest = np.random.get_state()
    return [random.getstate(), (name, keys.tobytes(), *rest), torch.get_rng_state().tolist()]


def an_epoch(watched: Guarded, epoch: Epoch, probe: Any = None) -> None:
    watched.plan(epoch, SOME)
    watched.select(BATCH, probe)
    watched.observe(BATCH, MEASURED)
    watched.close_epoch()


@pytest.fixture
def epoch() -> Epoch:
    rng = torch.Generator().manual_seed(0)
    return Epoch(phase="train", index=0, epochs=1, n_samples=4, n_classes=10, warmup=False, device=CPU, rng=rng)


@pytest.mark.parametrize("library", DRAWS)
@pytest.mark.parametrize("hook", ["plan", "select", "observe"])
def test_a_stream_that_a_hook_moved_is_put_back_and_told(hook: str, library: str, epoch: Epoch) -> None:
    watched, before = Guarded(Draws(hook, library), CPU), streams()
    an_epoch(watched, epoch)
    found_in = hook if hook == "plan" or library == "torch" else "select or observe"
    assert list(watched.disturbed) == [f"{library} in {found_in}"]
    assert streams() == before


def test_a_stream_is_told_once_however_often_it_is_moved(epoch: Epoch) -> None:
    watched = Guarded(Draws("select", "torch"), CPU)
    for _ in range(3):
        an_epoch(watched, epoch)
    assert list(watched.disturbed) == ["torch in select"]


def test_a_method_that_keeps_to_its_own_streams_is_not_told(epoch: Epoch) -> None:
    class Modest(Strategy):
        def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
            return EpochPlan(epoch.all_ids[epoch.uniform(4) < 2])

    watched = Guarded(Modest(), CPU)
    an_epoch(watched, epoch)
    assert not watched.disturbed


def test_what_the_run_itself_draws_between_epochs_is_not_blamed_on_the_method(epoch: Epoch) -> None:
    watched = Guarded(Strategy(), CPU)
    an_epoch(watched, epoch)
    for draw in DRAWS.values():
        draw()
    an_epoch(watched, epoch)
    assert not watched.disturbed


def test_answers_pass_the_guard_unchanged(epoch: Epoch) -> None:
    plan = EpochPlan(epoch.all_ids, lr_scale=2.0)
    weights = torch.ones(4)

    class Answers(Strategy):
        def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
            return plan

        def select(self, batch: Batch, probe: Probe) -> Tensor:
            return weights

    watched = Guarded(Answers(), CPU)
    probe: Any = None
    assert watched.plan(epoch, SOME) is plan and watched.select(BATCH, probe) is weights
    assert watched.phases(7) == Strategy().phases(7)


def lived_with_dropout(run: Run, strategy: Strategy, *, watched: bool = True) -> tuple[list[float], str | None]:
    """The losses of a training whose model draws from torch's own stream, and which streams were disturbed."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))

    run = replace(run, strategy=strategy)
    run.workload.model, before = model, run.workload.model  # type: ignore[method-assign]
    if not watched:
        run.watched._fast = lambda: (b"", b"")  # type: ignore[method-assign]
    try:
        return [record.train_loss for record in train(run)], run.facts["disturbs"]
    finally:
        run.workload.model = before  # type: ignore[method-assign]


@pytest.mark.parametrize("hook", ["plan", "select", "observe"])
def test_a_run_trains_exactly_as_if_nobody_had_disturbed_it(hook: str, run_of: Callable[..., Run]) -> None:
    calm, told = lived_with_dropout(run_of(epochs=1), Strategy())
    assert told is None
    assert lived_with_dropout(run_of(epochs=1), Draws(hook, "torch")) == (calm, f"torch in {hook}")


def test_without_the_guard_a_disturbed_run_would_train_otherwise(run_of: Callable[..., Run]) -> None:
    calm, _ = lived_with_dropout(run_of(epochs=1), Strategy())
    disturbed, _ = lived_with_dropout(run_of(epochs=1), Draws("select", "torch"), watched=False)
    assert disturbed != calm


@pytest.mark.dist
def test_a_run_that_is_done_tells_which_streams_were_disturbed(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reseeder_of_a_test.py").write_text(
        "from dataclasses import dataclass\n"
        "import numpy as np\n"
        "from kbench.strategies.api import Strategy\n"
        "@dataclass\n"
        "class Reseeder(Strategy):\n"
        "    def plan(self, epoch, stats):\n"
        "        np.random.seed(0)\n"
        "        return super().plan(epoch, stats)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    choice = Choice(label="reseeder", name="reseeder_of_a_test:Reseeder")
    spec = RunSpec(experiment="disturbed", pair=pair, strategy=choice, seed=0, ranks=1)
    assert train_on_ranks(spec, tmp_path).error is None
    folder = RunDir(tmp_path / spec.run_id)
    assert folder.read().done.disturbs == "numpy in plan"
    assert "moved random streams of others" in folder.stderr.read_text()
