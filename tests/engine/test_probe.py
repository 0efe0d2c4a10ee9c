"""What a strategy may ask for while it selects: every look is counted, and none leaves a trace in the model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from kbench.engine import seeds
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, _epoch
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies.api import Batch, Phase

CPU = torch.device("cpu")
MakeProbe = Callable[..., ModelProbe]


@pytest.fixture
def probe_at(run_of: Callable[..., Run]) -> MakeProbe:
    """``probe_at(3)``: the probe of epoch 3 of a run whose model is fresh; ``rank`` has a stream of its own."""
    run = run_of()
    learner = Learner(run.workload, 0, run.comm)

    def make(index: int = 0, *, comm: Comm = run.comm) -> ModelProbe:
        store = SampleStore(run.workload.n_samples, run.workload.n_classes, CPU)
        rng = seeds.generator(0, "local", "train", index, comm.rank)
        return ModelProbe(learner, store, _epoch(run, Phase.train(10), index), comm, rng)

    return make


def batch_of(probe: ModelProbe, *ids: int) -> Batch:
    index, x, y = next(probe.learner.workload.batches([torch.tensor(ids)], key=3))
    return Batch(index, x, y)


def test_every_sample_that_is_looked_at_counts_also_when_it_is_looked_at_again(probe_at: MakeProbe) -> None:
    probe = probe_at()
    for ids in ([1, 2, 3], [3], [1, 2, 3]):
        probe.measure(batch_of(probe, *ids))
    assert probe.n_scored == 7 and probe.n_dropped == 0


def test_what_is_seen_is_remembered(probe_at: MakeProbe) -> None:
    probe = probe_at()
    seen = probe.measure(batch_of(probe, 7, 1400, 2))
    probe.store.merge(Comm())
    stats = probe.store.view()
    assert stats.known.nonzero().squeeze(1).tolist() == [2, 7, 1400]
    for name in ("loss", "correct", "confidence", "error_norm"):
        assert torch.equal(getattr(stats, name)[[7, 1400, 2]], getattr(seen, name))


def test_a_look_is_the_models_in_evaluation_mode_and_leaves_no_trace(probe_at: MakeProbe) -> None:
    probe = probe_at()
    batch, module = batch_of(probe, *range(20)), probe.learner.module
    before = probe.learner.digest()
    seen = probe.measure(batch)
    assert probe.learner.digest() == before and all(p.grad is None for p in module.parameters())
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(module.eval()(batch.x), batch.y, reduction="none")
    assert torch.equal(seen.loss, expected) and not seen.loss.requires_grad


def test_a_look_does_not_depend_on_who_stands_beside(probe_at: MakeProbe) -> None:
    probe = probe_at()
    together, alone = probe.measure(batch_of(probe, 5, 6, 7)), probe.measure(batch_of(probe, 6))
    assert float(together.loss[1]) == pytest.approx(float(alone.loss), rel=1e-5)


def test_random_numbers_come_from_the_stream_of_the_epoch_and_the_rank(probe_at: MakeProbe, on_threads: Any) -> None:
    drawn = [probe_at(index).uniform(50).tolist() for index in (0, 0, 1)]
    expected = torch.rand(50, generator=seeds.generator(0, "local", "train", 0, 0)).tolist()
    assert drawn[0] == drawn[1] == expected != drawn[2]
    first, second = on_threads(2, lambda comm: probe_at(0, comm=comm).uniform(50).tolist())
    assert first == expected != second


def test_random_numbers_leave_the_global_stream_alone(probe_at: MakeProbe) -> None:
    probe = probe_at()
    before = torch.get_rng_state()
    numbers = probe.uniform(1000)
    assert torch.equal(torch.get_rng_state(), before)
    assert numbers.dtype == torch.float32 and 0 <= numbers.min() and numbers.max() < 1


def test_a_mean_alone_is_the_number(probe_at: MakeProbe) -> None:
    assert probe_at().mean(torch.tensor(0.1, dtype=torch.float64)) == 0.1


@pytest.mark.parametrize("size", [2, 3, 5])
def test_every_rank_is_told_the_same_mean(size: int, probe_at: MakeProbe, on_threads: Any) -> None:
    def ask(comm: Comm) -> float:
        return probe_at(comm=comm).mean(torch.tensor(0.1 * comm.rank**2, dtype=torch.float64))

    means = on_threads(size, ask)
    assert len(set(means)) == 1 and means[0] == pytest.approx(sum(0.1 * rank**2 for rank in range(size)) / size)


def test_work_beside_is_handed_over_when_it_is_old_enough_and_all_of_it_in_the_end(probe_at: MakeProbe) -> None:
    probe, handed = probe_at(), []
    for number in range(5):
        probe.in_background(lambda number=number: number, handed.append, lag=2)
        assert handed == list(range(number - 1))
    probe.settle()
    assert handed == [0, 1, 2, 3, 4] and probe.background_s > 0


def test_an_epoch_without_work_beside_notes_no_time(probe_at: MakeProbe) -> None:
    probe = probe_at()
    probe.settle()
    assert probe.background_s == 0.0
