"""Do sample ids survive in data sets that are larger than what small floats can count?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from kbench.conformance.finding import Finding
from kbench.conformance.rules import breaches_of_ids
from kbench.strategies.api import Epoch, EpochPlan, SampleStats, Strategy

MANY = (60_013, 100_003)  # below and above what half precision holds
BEYOND_FLOAT32 = 2**24 + 5_003
FLOATS = {2**8: "bfloat16", 2**11: "half precision", 2**24: "float32"}  # the last odd number is below
EVIDENCE = 64  # ids, all even: by chance in one of 2^64 cases
DO = "keep ids int64 from end to end; take them from epoch.everyone or nonzero()"


def breach_of_ids(make: Callable[[], Strategy], n: int) -> Finding | None:
    """What becomes of sample ids in the first two plans of each phase, with ``n`` samples."""
    return next(filter(None, (_breach(plan, epoch) for plan, epoch in _plans(make(), n, (0, 1)))), None)


def breach_of_one_plan(make: Callable[[], Strategy], n: int) -> Finding | None:
    """The same of one plan of each phase, as more would take long; the second says more than the first.

    A method that cannot plan the second epoch without the first is asked for the first.
    """
    try:
        plans = list(_plans(make(), n, (1,)))
    except Exception:
        plans = list(_plans(make(), n, (0,)))
    return next(filter(None, (_breach(plan, epoch) for plan, epoch in plans)), None)


def _plans(strategy: Strategy, n: int, indices: tuple[int, ...]) -> Iterator[tuple[EpochPlan, Epoch]]:
    for phase in strategy.phases(3):
        for at in sorted({min(index, phase.epochs - 1) for index in indices}):
            epoch = _epoch(n, phase.name, at, phase.epochs)
            yield strategy.plan(epoch, _stats(n)), epoch


def _breach(plan: EpochPlan, epoch: Epoch) -> Finding | None:
    where = f"plan, epoch {epoch.index} of phase {epoch.phase}, {epoch.n_samples:,} samples"
    for name, ids in (("indices", plan.indices), ("refresh", plan.refresh)):
        width = _lost(ids)
        if width:
            return Finding(check="ids", what=f"{name} holds no odd id where {width} has none", where=where, do=DO)
        breach = next(breaches_of_ids(ids, name, epoch), None) if ids is not None else None
        if breach:
            return Finding(check="ids", what=breach.what, where=where, do=breach.do)
    return None


def _lost(ids: Tensor | None) -> str | None:
    """The float that ids went through, if they did: beyond its range of whole numbers all are even."""
    if not isinstance(ids, Tensor) or ids.is_floating_point():
        return None
    for limit, name in FLOATS.items():
        above = ids[ids > limit]
        if len(above) >= EVIDENCE and not bool((above & 1).any()):
            return name
    return None


def _epoch(n: int, phase: str, index: int, epochs: int) -> Epoch:
    return Epoch(
        phase=phase,
        index=index,
        epochs=epochs,
        n_samples=n,
        n_classes=10,
        warmup=False,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(index),
    )


def _stats(n: int) -> SampleStats:
    """Losses that know nothing of ids; most samples are right."""
    loss = torch.rand(n, generator=torch.Generator().manual_seed(n)) + 0.01
    return SampleStats(
        loss=loss,
        correct=loss < 0.8,
        confidence=torch.exp(-loss),
        residual=1 - torch.exp(-loss),
        age=torch.zeros(n, dtype=torch.int16),
    )
