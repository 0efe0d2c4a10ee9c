"""What a plan and a choice must look like: each rule a few lines, each breach in plain words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kbench.strategies.api import AsCoded, Batch, Epoch, EpochPlan, Resample


class Violation(NamedTuple):
    """What is wrong with an answer, and what to do."""

    what: str
    do: str


def plan_violations(plan: object, epoch: Epoch, *, global_batch: int) -> Iterator[Violation]:
    """Everything that is wrong with what ``plan`` returned."""
    if not isinstance(plan, EpochPlan):
        yield Violation(f"plan returned {_kind(plan)}", "return an EpochPlan")
        return
    yield from id_violations(plan.indices, "indices", epoch)
    if isinstance(plan.indices, Tensor) and plan.indices.numel() < global_batch:
        what = f"{plan.indices.numel()} samples were planned, fewer than one global batch of {global_batch}"
        yield Violation(what, "plan at least one full global batch")
    if plan.refresh is not None:
        yield from id_violations(plan.refresh, "refresh", epoch)
    if plan.weights is not None:
        yield from _of_weights(plan.weights, "weights", (epoch.n_samples,), epoch.device)
    yield from _of_numbers(plan)


def id_violations(ids: object, name: str, epoch: Epoch) -> Iterator[Violation]:
    """What is wrong with a tensor of sample ids."""
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64 or ids.ndim != 1:
        yield Violation(f"{name} is {_kind(ids)}", "give sample ids as a tensor of int64 of one dimension")
        return
    if ids.device.type != epoch.device.type:
        yield Violation(f"{name} lies on {ids.device}", "plan on epoch.device")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < epoch.n_samples:
        what = f"{name} holds ids from {int(ids.min())} to {int(ids.max())} of {epoch.n_samples} samples"
        yield Violation(what, f"keep ids within 0 and {epoch.n_samples - 1}; never let them pass through floats")


def selection_violations(kept: object, batch: Batch) -> Iterator[Violation]:
    """Everything that is wrong with what ``select`` returned for ``batch``."""
    if kept is None:
        return
    if isinstance(kept, Resample):
        yield from _of_draw(kept, batch)
    elif isinstance(kept, Tensor):
        yield from _of_weights(kept, "what select returned", (len(batch),), batch.x.device)
    else:
        yield Violation(f"select returned {_kind(kept)}", "return a tensor of weights, a Resample, or None to keep all")


def _of_draw(kept: Resample, batch: Batch) -> Iterator[Violation]:
    rows = kept.rows
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        yield Violation(
            f"the rows of the Resample are {_kind(rows)}", "give places in the batch as int64 of one dimension"
        )
        return
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(batch):
        what = f"the Resample holds rows from {int(rows.min())} to {int(rows.max())} of a batch of {len(batch)}"
        yield Violation(what, "rows are places in the batch, no sample ids")
    yield from _of_weights(kept.weight, "the weight of the Resample", (len(rows),), batch.x.device)


def _of_weights(weights: object, name: str, shape: tuple[int, ...], device: torch.device) -> Iterator[Violation]:
    if not isinstance(weights, Tensor) or tuple(weights.shape) != shape or weights.dtype != torch.float32:
        yield Violation(f"{name} is {_kind(weights)}", f"give one float32 weight for each of {shape[0]} samples")
        return
    if weights.device.type != device.type:
        yield Violation(f"{name} lies on {weights.device}", f"leave it on {device}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        yield Violation(f"{name} holds weights that are negative or not finite", "weights are finite and at least 0")
    if weights.requires_grad:
        yield Violation(f"{name} carries a graph", "detach it, or compute it under torch.no_grad()")


def _of_numbers(plan: EpochPlan) -> Iterator[Violation]:
    if not math.isfinite(plan.lr_scale) or plan.lr_scale <= 0:
        yield Violation(f"lr_scale is {plan.lr_scale}", "scale the learning rate by a finite number above 0")
    if plan.candidate_batches < 1:
        yield Violation(
            f"candidate_batches is {plan.candidate_batches!r}", "let select see at least one global batch at a time"
        )
    if plan.ceiling is not None and not 0 <= plan.ceiling <= 1:
        yield Violation(f"ceiling is {plan.ceiling}", "give the largest share that may be hidden, in [0, 1]")
    as_coded: object = plan.as_coded
    if not isinstance(as_coded, AsCoded):
        yield Violation(f"as_coded is {_kind(as_coded)}", "give AsCoded, or leave them out")


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
