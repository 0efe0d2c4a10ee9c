"""What planning an epoch costs, beside a restatement that goes sample by sample as published code does."""

import time
from collections.abc import Callable
from functools import partial

import torch

from kbench.engine.seeds import generator
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats

SIZES = (50_000, 1_281_167)


def stats_of(n: int) -> SampleStats:
    """Random statistics of ``n`` samples: most right, most sure."""
    rng = torch.Generator().manual_seed(n)
    loss = torch.rand(n, generator=rng)
    correct = torch.rand(n, generator=rng) < 0.9
    return SampleStats(loss, correct, torch.exp(-loss), loss / 3, torch.zeros(n, dtype=torch.int16))


def epoch_of(n: int) -> Epoch:
    """The second epoch of ten."""
    rng = generator(0, "plan", "train", 1)
    device = torch.device("cpu")
    return Epoch(phase="train", index=1, epochs=10, n_samples=n, n_classes=1000, warmup=False, device=device, rng=rng)


def move_back_loop(stats: SampleStats, n_candidates: int) -> list[int]:
    """KAKURENBO's hidden list, one candidate at a time."""
    order = torch.sort(stats.loss, stable=True).indices
    hidden = []
    for i in order[:n_candidates]:
        if stats.correct[i] and stats.confidence[i] >= 0.7:
            hidden.append(int(i))
    return hidden


def plan_afresh(name: str, epoch: Epoch, stats: SampleStats) -> None:
    """Plan as a strategy does that has no memory of earlier epochs."""
    load(name).plan(epoch, stats)


def seconds(action: Callable[[], object], *, times: int) -> float:
    """The least seconds that ``action`` takes, of so many times."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        took.append(time.perf_counter() - started)
    return min(took)


def main() -> None:
    """Print seconds per strategy and size, on one thread."""
    torch.set_num_threads(1)
    for n in SIZES:
        stats, epoch = stats_of(n), epoch_of(n)
        rival = seconds(partial(move_back_loop, stats, int(0.3 * n)), times=1)
        for name in ("random", "iswr", "forget", "kakurenbo"):
            took = seconds(partial(plan_afresh, name, epoch, stats), times=3)
            beside = f"; a loop over candidates {rival:.2f} s, {rival / took:.0f} times" if name == "kakurenbo" else ""
            print(f"plan of {n:>9,} samples, {name:<10}{took:8.4f} s{beside}")


if __name__ == "__main__":
    main()
