"""Outputs and memory in the real loop: what a probe gives, what a refresh remembers, and that ranks agree on it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.errors import RunError
from kbench.strategies.api import Batch, Epoch, EpochPlan, Outputs, SampleStats, Strategy

CPU = torch.device("cpu")


@dataclass
class Remembers(Strategy):
    """Refreshes the first ten samples in each epoch, and remembers their logits and labels."""

    def memory_width(self, n_classes: int, n_features: int) -> int:
        return n_classes + 1

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return torch.cat([outputs.logits, batch.y[:, None].float()], dim=1)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return EpochPlan(epoch.all_ids, refresh=epoch.all_ids[:10])


@pytest.fixture
def probe(run_of: Callable[..., Run]) -> ModelProbe:
    run = run_of()
    learner = Learner(run.workload, 0, run.comm)
    return ModelProbe(learner, run.store, Any, run.comm, torch.Generator())  # type: ignore[arg-type]


def batch_of(probe: ModelProbe, *ids: int) -> Batch:
    return Batch(*next(probe.learner.workload.batches([torch.tensor(ids)], key=0)))


def test_outputs_are_those_of_the_model_in_evaluation_mode_and_the_last_layers_input(probe: ModelProbe) -> None:
    batch = batch_of(probe, 5, 3, 9)
    outputs, module = probe.outputs(batch), probe.learner.module
    assert torch.allclose(outputs.logits, probe.learner.output(batch.x), atol=1e-6)
    head: Any = module.head
    assert torch.allclose(head(outputs.features), outputs.logits, atol=1e-5)
    assert not outputs.logits.requires_grad and probe.learner.n_features == outputs.features.shape[1] == 64


def test_outputs_cost_and_renew_what_a_measurement_does(probe: ModelProbe) -> None:
    batch = batch_of(probe, 5, 3, 9)
    probe.outputs(batch)
    assert probe.n_scored == 3 and probe.store.written.nonzero().flatten().tolist() == [3, 5, 9]
    stored = probe.store.values[:, batch.index].clone()
    probe.measure(batch)
    assert torch.allclose(stored, probe.store.values[:, batch.index], atol=1e-6)


def test_the_error_is_softmax_minus_one_hot_and_its_norm_is_the_error_norm(probe: ModelProbe) -> None:
    batch = batch_of(probe, *range(20))
    outputs = probe.outputs(batch)
    one_hot = torch.nn.functional.one_hot(batch.y, 10)
    assert torch.allclose(outputs.error(batch.y), outputs.logits.softmax(1) - one_hot, atol=1e-6)
    assert torch.allclose(outputs.error(batch.y).norm(dim=1), probe.learner.measure(batch).error_norm, atol=1e-5)


def test_a_model_without_a_last_linear_layer_is_refused_with_advice(probe: ModelProbe) -> None:
    probe.learner.module.head = torch.nn.Identity()
    assert probe.learner.n_features == 0
    with pytest.raises(RunError, match="does not end in a linear layer"):
        probe.outputs(batch_of(probe, 1, 2))


def test_a_plan_is_shown_what_was_remembered_after_the_epoch_before(run_of: Callable[..., Run]) -> None:
    run = replace(run_of(), strategy=Remembers())
    for record in train(run):
        assert record.n_refreshed == (10 if record.epoch < 2 else 0)
    stats = run.store.view()
    assert stats.memory is not None and stats.memory.shape == (run.workload.n_samples, 11)
    assert stats.label is not None and torch.equal(stats.memory[:10, 10].long(), stats.label[:10])
    assert bool((stats.memory[:10, :10].abs().sum(1) > 0).all()) and not bool(stats.memory[10:].any())


def test_ranks_share_what_each_of_them_remembered(
    on_threads: Callable[[int, Callable[[Comm], Any]], list[Any]],
) -> None:
    def remembered(comm: Comm) -> Tensor:
        store = SampleStore(9, 10, CPU)
        store.widen(2)
        for turn in (1, 2):  # ids 0 to 2, then 3 to 5, one by one over the ranks; 6 to 8 are nobody's
            mine = torch.arange(3 * turn - 3, 3 * turn)[comm.rank :: comm.size]
            store.remember(mine, torch.stack([mine, mine * 10 * turn], dim=1).float())
            store.merge(comm)
        assert store.memory is not None
        return store.memory

    expected = torch.tensor([[i, i * 10 * (1 if i < 3 else 2)] if i < 6 else [0, 0] for i in range(9)]).float()
    for size in (1, 2, 3):
        assert all(torch.equal(memory, expected) for memory in on_threads(size, remembered))


def test_who_remembers_nothing_pays_for_nothing(run_of: Callable[..., Run]) -> None:
    run = run_of()
    next(iter(train(run)))
    assert run.store.memory is None and run.store.view().memory is None
