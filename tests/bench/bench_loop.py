"""The harness tax: an epoch of kbench's loop beside a plain PyTorch loop, in turn, in one process."""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from kbench.config.experiment import Pair
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, _epoch, train_epoch
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.strategies import load
from kbench.strategies.api import Phase
from kbench.tasks.workload import Workload

RECIPE = {"epochs": 10, "global_batch": 48, "lr": 0.05, "schedule": "constant"}
TURNS = 12


def kbench_epoch(workload: Workload) -> Callable[[int], float]:
    """Train an epoch as kbench does and return its seconds."""
    run = Run(
        strategy=load("baseline"),
        workload=workload,
        comm=Comm(),
        store=SampleStore(workload.n_samples, workload.n_classes, workload.device),
        timer=PhaseTimer(workload.device),
        seed=0,
        attempt=1,
    )
    learner, phase = Learner(workload, 0, run.comm), Phase.train(TURNS + 1)
    return lambda turn: train_epoch(run, phase, _epoch(run, phase, turn), learner, closing=False).train_s


def plain_epoch(workload: Workload) -> Callable[[int], float]:
    """Train an epoch with nothing but PyTorch and return its seconds."""
    model = workload.model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = workload.train.x, workload.train.y

    def epoch(_: int) -> float:
        started = time.perf_counter()
        for ids in torch.randperm(len(y)).split(48)[:-1]:
            loss = F.cross_entropy(model(x[ids]), y[ids])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - started

    return epoch


def main() -> None:
    """Print the ratio, turn by turn, and its median."""
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE})
    workload = Workload(pair, torch.device("cpu"))
    ours, plain = kbench_epoch(workload), plain_epoch(workload)
    ours(0)
    plain(0)
    ratios = [ours(turn) / plain(turn) for turn in range(1, TURNS + 1)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"an epoch of kbench / of a plain loop: {middle:.3f} (min {low:.3f}, max {high:.3f}, {TURNS} turns)")


if __name__ == "__main__":
    main()
