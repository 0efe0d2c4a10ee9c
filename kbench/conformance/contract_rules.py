"""What a plan and a choice must look like: each rule a few lines, each breach in plain words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kbench.strategies.api import Batch, Draw, Epoch, EpochPlan, Habits


class Breach(NamedTuple):
    """What is wrong with an answer, and what to do."""

    what: str
    do: str


def breaches_of_plan(plan: object, epoch: Epoch, *, global_batch: int) -> Iterator[Breach]:
    """Everything that is wrong with what ``plan`` returned."""
    if not isinstance(plan, EpochPlan):
        yield Breach(f"plan returned {_kind(plan)}", "return an EpochPlan")
        return
    yield from breaches_of_ids(plan.indices, "indices", epoch)
    if isinstance(plan.indices, Tensor) and plan.indices.numel() < global_batch:
        what = f"{plan.indices.numel()} samples were planned, fewer than one global batch of {global_batch}"
        yield Breach(what, "plan at least one full global batch")
    if plan.refresh is not None:
        yield from breaches_of_ids(plan.refresh, "refresh", epoch)
    if plan.weights is not None:
        yield from _of_weights(plan.weights, "weights", (epoch.n_samples,), epoch.device)
    yield from _of_numbers(plan)


def breaches_of_ids(ids: object, name: str, epoch: Epoch) -> Iterator[Breach]:
    """What is wrong with a tensor of sample ids."""
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64 or ids.ndim != 1:
        yield Breach(f"{name} is {_kind(ids)}", "give sample ids as a tensor of int64 of one dimension")
        return
    if ids.device.type != epoch.device.type:
        yield Breach(f"{name} lies on {ids.device}", "plan on epoch.device")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < epoch.n_samples:
        what = f"{name} holds ids from {int(ids.min())} to {int(ids.max())} of {epoch.n_samples} samples"
        yield Breach(what, f"keep ids within 0 and {epoch.n_samples - 1}; never let them pass through floats")


def breaches_of_choice(kept: object, batch: Batch) -> Iterator[Breach]:
    """Everything that is wrong with what ``select`` returned for ``batch``."""
    if kept is None:
        return
    if isinstance(kept, Draw):
        yield from _of_draw(kept, batch)
    elif isinstance(kept, Tensor):
        yield from _of_weights(kept, "what select returned", (len(batch),), batch.x.device)
    else:
        yield Breach(f"select returned {_kind(kept)}", "return a tensor of weights, a Draw, or None to keep all")


def _of_draw(kept: Draw, batch: Batch) -> Iterator[Breach]:
    rows = kept.rows
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        yield Breach(f"the rows of the Draw are {_kind(rows)}", "give places in the batch as int64 of one dimension")
        return
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(batch):
        what = f"the Draw holds rows from {int(rows.min())} to {int(rows.max())} of a batch of {len(batch)}"
        yield Breach(what, "rows are places in the batch, no sample ids")
    yield from _of_weights(kept.weight, "the weight of the Draw", (len(rows),), batch.x.device)


def _of_weights(weights: object, name: str, shape: tuple[int, ...], device: torch.device) -> Iterator[Breach]:
    if not isinstance(weights, Tensor) or tuple(weights.shape) != shape or weights.dtype != torch.float32:
        yield Breach(f"{name} is {_kind(weights)}", f"give one float32 weight for each of {shape[0]} samples")
        return
    if weights.device.type != device.type:
        yield Breach(f"{name} lies on {weights.device}", f"leave it on {device}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        yield Breach(f"{name} holds weights that are negative or not finite", "weights are finite and at least 0")
    if weights.requires_grad:
        yield Breach(f"{name} carries a graph", "detach it, or compute it under torch.no_grad()")


def _of_numbers(plan: EpochPlan) -> Iterator[Breach]:
    if not math.isfinite(plan.lr_scale) or plan.lr_scale <= 0:
        yield Breach(f"lr_scale is {plan.lr_scale}", "scale the learning rate by a finite number above 0")
    if plan.pool < 1:
        yield Breach(f"pool is {plan.pool!r}", "let select see at least one global batch at a time")
    if plan.ceiling is not None and not 0 <= plan.ceiling <= 1:
        yield Breach(f"ceiling is {plan.ceiling}", "give the largest share that may be hidden, in [0, 1]")
    habits: object = plan.habits
    if not isinstance(habits, Habits):
        yield Breach(f"habits is {_kind(habits)}", "give Habits, or leave them out")


def _kind(thing: object) -> str:
    if isinstance(thing, Tensor):
        return f"a tensor of {str(thing.dtype).removeprefix('torch.')} of shape {tuple(thing.shape)}"
    return f"of type {type(thing).__name__}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A promise that was broken: which, what was seen, where, and what to do about it."""

    check: str
    what: str
    where: str
    do: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.what} ({self.where}); {self.do}"
