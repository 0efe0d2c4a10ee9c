"""A plan with an id of no sample is refused with the method's name, before anything is trained."""

import pytest
import torch

from kbench.engine.runtime.guard import Guarded
from kbench.engine.samples import SampleStore
from kbench.errors import RunError
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy

CPU = torch.device("cpu")


class Misses(Strategy):
    """Plans what it is given."""

    ids: tuple[int, ...] = ()
    refresh: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return "misses"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        refresh = None if self.refresh is None else torch.tensor(self.refresh, dtype=torch.int64)
        return EpochPlan(torch.tensor(self.ids, dtype=torch.int64), refresh=refresh)


def planned(ids: tuple[int, ...], refresh: tuple[int, ...] | None = None) -> EpochPlan:
    strategy = Misses()
    strategy.ids, strategy.refresh = ids, refresh
    epoch = Epoch(
        phase="train", index=3, epochs=5, n_samples=10, n_classes=2, warmup=False, device=CPU, rng=torch.Generator()
    )
    return Guarded(strategy, CPU).plan(epoch, SampleStore(10, 2, CPU).view())


@pytest.mark.parametrize("ids, odd", [((0, -1), -1), ((10, 0), 10), ((3, 3, 99), 99)])
def test_an_id_of_no_sample_is_refused(ids: tuple[int, ...], odd: int) -> None:
    for place, arguments in (("indices", (ids,)), ("refresh", ((0,), ids))):
        with pytest.raises(RunError) as caught:
            planned(*arguments)
        what = f"misses: {place} of its plan of epoch 3 (train) hold the sample id {odd}; ids go from 0 to 9"
        assert caught.value.message == what


def test_ids_may_come_again_and_a_plan_may_be_empty() -> None:
    assert planned((0, 9, 9), ()).indices.tolist() == [0, 9, 9] and len(planned(()).indices) == 0
