"""Guard the global random streams while a strategy's hooks run."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kbench.errors import RunError
from kbench.strategies.api import (
    Batch,
    Epoch,
    EpochCost,
    EpochPlan,
    Measured,
    Outputs,
    Phase,
    Probe,
    Resample,
    SampleStats,
    Strategy,
)


class Guarded(Strategy):
    """A strategy that is watched: a stream that one of its hooks moved is put back and reported.

    torch's streams are compared around every hook.  Those of random and numpy are slower to read
    (tens of microseconds each), and nothing else in a run draws from them: they are compared around
    ``plan``, and once for all calls of ``select`` and ``observe`` of an epoch.
    """

    def __init__(self, strategy: Strategy, device: torch.device) -> None:
        self.strategy = strategy
        self.disturbed: dict[str, None] = {}  # "numpy in plan", in the order in which they were found
        self.on_step: Callable[[], None] | None = None  # called when a batch has been trained
        self._on_gpu = device.type == "cuda"
        self._before_epoch = _slow()

    def __repr__(self) -> str:
        return repr(self.strategy)

    def follow(self, past: Sequence[EpochCost]) -> None:
        self.strategy.follow(past)

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return self.strategy.phases(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        before, fast = _slow(), self._fast()
        plan = self.strategy.plan(epoch, stats)
        self._compare_fast(fast, "plan")
        self._compare_slow(before, "plan")
        self._before_epoch = before
        _check_ids(self.strategy, epoch, plan)
        return plan

    def memory_width(self, n_classes: int, n_features: int) -> int:
        return self.strategy.memory_width(n_classes, n_features)

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        fast = self._fast()
        rows = self.strategy.remember(batch, outputs)
        self._compare_fast(fast, "remember")
        return rows

    def select(self, batch: Batch, probe: Probe) -> Tensor | Resample | None:
        fast = self._fast()
        selection = self.strategy.select(batch, probe)
        self._compare_fast(fast, "select")
        return selection

    def observe(self, batch: Batch, measured: Measured) -> None:
        fast = self._fast()
        self.strategy.observe(batch, measured)
        self._compare_fast(fast, "observe")
        if self.on_step:
            self.on_step()

    def close_epoch(self) -> None:
        """Compare once more, when the last batch of an epoch was observed."""
        self._compare_slow(self._before_epoch, "select or observe")

    def _fast(self) -> tuple[bytes, bytes]:
        """The states of torch's global streams; a GPU's lies on the host, nothing is waited for."""
        of_gpu = torch.cuda.get_rng_state().numpy().tobytes() if self._on_gpu else b""
        return torch.get_rng_state().numpy().tobytes(), of_gpu

    def _compare_fast(self, before: tuple[bytes, bytes], hook: str) -> None:
        now = self._fast()
        if now[0] != before[0]:
            torch.set_rng_state(_state(before[0]))
            self._note("torch", hook)
        if now[1] != before[1]:
            torch.cuda.set_rng_state(_state(before[1]))
            self._note("torch.cuda", hook)

    def _compare_slow(self, before: tuple[Any, Any], hook: str) -> None:
        python_state, numpy_state = before
        if random.getstate() != python_state:
            random.setstate(python_state)
            self._note("random", hook)
        if _comparable(np.random.get_state()) != _comparable(numpy_state):
            np.random.set_state(numpy_state)
            self._note("numpy", hook)

    def _note(self, library: str, hook: str) -> None:
        self.disturbed[f"{library} in {hook}"] = None


def _state(saved: bytes) -> Tensor:
    return torch.frombuffer(bytearray(saved), dtype=torch.uint8)


def _slow() -> tuple[Any, Any]:
    """The states of the global streams of random and of numpy."""
    return random.getstate(), np.random.get_state()


def _comparable(state: Any) -> tuple[Any, ...]:
    name, keys, *rest = state
    return name, keys.tobytes(), *rest


def _check_ids(strategy: Strategy, epoch: Epoch, plan: EpochPlan) -> None:
    """Raise RunError for ids of no sample: negative ones would train others, from the end, without a word."""
    for name, ids in (("indices", plan.indices), ("refresh", plan.refresh)):
        if ids is not None and len(ids):
            low, high = int(ids.min()), int(ids.max())
            if low < 0 or high >= epoch.n_samples:
                raise RunError(
                    f"{strategy}: {name} of its plan of epoch {epoch.index} ({epoch.phase}) hold the sample id "
                    f"{low if low < 0 else high}; ids go from 0 to {epoch.n_samples - 1}",
                    hint="a bug of the method; kbench check-method MODULE:CLASS examines it",
                )
