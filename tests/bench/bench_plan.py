"""What remembering and planning cost per epoch, beside restatements that go sample by sample as published code does."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.engine.seeds import generator
from kbench.strategies import STRATEGIES, load
from kbench.strategies.api import Epoch, Measured, Phase, SampleStats
from kbench.strategies.forget import Forget
from kbench.strategies.ranking import percentile

SIZES = (50_000, 1_281_167, 10_000_000)
MOST_WRITTEN = 1_281_167  # more batches than that do not fit into memory beside one another
PATIENCE_S = 30.0  # a loop that would take longer is left out
WINDOW, SB_BATCH = 1024, 128
CPU = torch.device("cpu")
N_CLASSES, N_FEATURES = 1000, 64
NEED_MORE = ("subset", "warmup")  # a file, another strategy
BY_GROUPS = ("gradmatch", "craig")  # tables of all groups with all, for sets like CIFAR


def seconds(action: Callable[[], object], *, times: int = 1) -> float:
    """The least processor time that ``action`` takes, of so many times: others may be at work here."""
    took = []
    for _ in range(times):
        started = time.process_time()
        action()
        took.append(time.process_time() - started)
    return min(took)


def measured_of(n: int) -> Measured:
    """What might be measured of n samples: most right, most sure."""
    rng = torch.Generator().manual_seed(n)
    loss = torch.rand(n, generator=rng)
    return Measured(loss, torch.rand(n, generator=rng) < 0.9, torch.exp(-loss), loss / 3)


def stats_of(m: Measured, turn: int) -> SampleStats:
    """What is known at one epoch; others are right at the next, so that something is forgotten."""
    correct = m.correct ^ (torch.arange(len(m.loss)) % 7 == turn % 7)
    ages, labels = torch.zeros(len(m.loss), dtype=torch.int16), torch.arange(len(m.loss)) % N_CLASSES
    return SampleStats(m.loss.clone(), correct, m.confidence, m.error_norm, ages, labels)


def plans(name: str, m: Measured) -> list[float]:
    """Seconds of the first three plans of each phase; the first choice of groups is of the second epoch."""
    strategy, took = load(name), []
    width = strategy.memory_width(N_CLASSES, N_FEATURES)
    memory = torch.rand(len(m.loss), width) if width else None
    for phase in strategy.phases(10):
        for index in (0, 1, 2):
            epoch, stats = epoch_of(phase, index, len(m.loss)), replace(stats_of(m, index), memory=memory)
            took.append(seconds(partial(strategy.plan, epoch, stats)))
    return took


def needs(name: str) -> str:
    """What a strategy keeps of each sample beside the 19 bytes of every run, for N_CLASSES and N_FEATURES."""
    strategy = load(name)
    return f"{strategy.n_bytes_per_sample + 4 * strategy.memory_width(N_CLASSES, N_FEATURES):6,} bytes a sample"


def epoch_of(phase: Phase, index: int, n: int) -> Epoch:
    rng = generator(0, "plan", phase.name, index)
    place = {"phase": phase.name, "index": index, "epochs": phase.epochs}
    return Epoch(n_samples=n, n_classes=N_CLASSES, warmup=False, device=CPU, rng=rng, **place)  # type: ignore[arg-type]


def batches(m: Measured, order: Tensor, size: int) -> list[tuple[Tensor, Measured]]:
    """An epoch of measurements as they come: in random order, batch by batch."""
    return [
        (ids, Measured(m.loss[ids], m.correct[ids], m.confidence[ids], m.error_norm[ids])) for ids in order.split(size)
    ]


def written(store: SampleStore, epoch: list[tuple[Tensor, Measured]]) -> None:
    for ids, measured in epoch:
        store.write(ids, measured)


def sb_by_batch(loss: Tensor) -> None:
    """The arithmetic of ``sb`` over an epoch."""
    recent = loss[:0]
    for batch in loss.split(SB_BATCH):
        recent = torch.cat([recent, batch])[-WINDOW:]
        percentile(batch, recent)


# restatements


def move_back_loop(m: Measured) -> None:
    """KAKURENBO: sort, and walk along the candidates."""
    hidden = []
    order = torch.sort(m.loss).indices
    for i in order[: int(0.3 * len(order))]:
        if m.correct[i].item() != 0 and m.confidence[i].item() >= 0.7:
            hidden.append(i)


def record_loop(epoch: list[tuple[Tensor, Measured]], n: int) -> None:
    """KAKURENBO's record: three numbers of each sample of each batch."""
    loss, right, sure = (torch.zeros(n, dtype=torch.float64) for _ in range(3))
    for ids, m in epoch:
        for row in range(len(ids)):
            place = ids[row]
            loss[place], right[place], sure[place] = m.loss[row].item(), m.correct[row].item(), m.confidence[row].item()


def forget_loop(epoch: list[tuple[Tensor, Measured]], n: int) -> None:
    """FORGET's record: is it wrong now, and was it right before?"""
    events, right = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for ids, m in epoch:
        for row in range(len(ids)):
            place, now = ids[row], float(m.correct[row].item())
            if now < right[place]:
                events[place] += 1
            right[place] = now


def sb_loop(loss: Tensor) -> None:
    """Selective-Backprop: count along the history for each loss."""
    history: deque[float] = deque(maxlen=WINDOW)
    for batch in loss.split(SB_BATCH):
        values = batch.tolist()
        history.extend(values)
        for value in values:
            lower = 0
            for past in history:
                if past < value:
                    lower += 1


def forget_by_epoch(store: SampleStore, epoch: list[tuple[Tensor, Measured]], correct: Tensor) -> None:
    """The same record as kbench keeps it: written by batch, counted once per epoch."""
    written(store, epoch)
    strategy = Forget()
    strategy.count(correct)


def rivals(m: Measured, by_32: list[tuple[Tensor, Measured]], per_sample: dict[str, float]) -> None:
    """Print each restatement beside what kbench does in its place; ``per_sample`` foresees how long it takes."""
    n = len(m.loss)
    store, kakurenbo = SampleStore(n, 1000, CPU), load("kakurenbo")
    epoch, stats = epoch_of(Phase.train(10), 2, n), stats_of(m, 0)
    rows: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("KAKURENBO, sort and move back", partial(move_back_loop, m), partial(kakurenbo.plan, epoch, stats)),
        ("KAKURENBO, record, batch 32", partial(record_loop, by_32, n), partial(written, store, by_32)),
        ("FORGET, record, batch 32", partial(forget_loop, by_32, n), partial(forget_by_epoch, store, by_32, m.correct)),
        ("SB, percentiles, batch 128", partial(sb_loop, m.loss), partial(sb_by_batch, m.loss)),
    ]
    for name, loop, ours in rows:
        if per_sample.get(name, 0.0) * n > PATIENCE_S:
            print(f"  {name:<32} a loop would take more than {PATIENCE_S:.0f} s: not measured")
            continue
        theirs = seconds(loop)
        took = seconds(ours, times=3)
        per_sample[name] = theirs / n
        print(f"  {name:<32}{took:9.4f} s; a loop {theirs:8.3f} s, {theirs / took:4.0f} times")


def main() -> None:
    """Print processor seconds per epoch, by size of the data set, on one thread."""
    torch.set_num_threads(1)
    per_sample: dict[str, float] = {}
    for n in SIZES:
        print(f"{n:,} samples")
        m, store = measured_of(n), SampleStore(n, 1000, CPU)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
        for name in (name for name in STRATEGIES if name not in NEED_MORE):
            if name in BY_GROUPS and n > SIZES[0]:
                print(f"  {'dearest plan of ' + name:<32}   not for so many samples")
            else:
                print(f"  {'dearest plan of ' + name:<32}{max(plans(name, m)):9.4f} s  {needs(name)}", flush=True)
        order = order[:MOST_WRITTEN]
        for size in (256, 32):
            by_size = batches(m, order, size)
            name = f"write {len(order):,} by {size}"
            print(f"  {name:<32}{seconds(partial(written, store, by_size)):9.4f} s")
        print(f"  {'merge':<32}{seconds(partial(store.merge, Comm()), times=3):9.4f} s", flush=True)
        if n < SIZES[-1]:
            rivals(m, by_size, per_sample)


if __name__ == "__main__":
    main()
