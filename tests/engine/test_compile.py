"""A compiled model trains to the same numbers."""

import shutil
from collections.abc import Callable

import pytest
import torch

from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.strategies.api import Batch
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_a_compiled_model_trains_and_looks_like_an_eager_one(workload_of: Callable[..., Workload]) -> None:
    eager, compiled = (Learner(workload_of(compile=on), 0, Comm()) for on in (False, True))
    index, x, y = next(eager.workload.batches([torch.arange(48)], key=5))
    batch = Batch(index, x, y)
    compiled.warm_up(batch)
    for _ in range(2):
        ours, theirs = (learner.step(batch, 0.05, PhaseTimer(CPU)) for learner in (compiled, eager))
        assert torch.allclose(ours.loss, theirs.loss, atol=1e-4)
    assert torch.allclose(compiled.measure(batch).loss, eager.measure(batch).loss, atol=1e-4)
