"""The training loop.  There is one, for every strategy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kbench.engine import seeds
from kbench.engine.checkpoint import ResumePoint
from kbench.engine.clock import PhaseTimer
from kbench.engine.disturbance import DisturbanceMonitor
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.metrics import EpochMetrics
from kbench.engine.mixing import dealt_in_pairs, mixed
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.guard import Guarded
from kbench.engine.samples import SampleStore
from kbench.engine.schedule import learning_rate, warming_up
from kbench.engine.seeds import fingerprint
from kbench.engine.stream import PositionedBatch, selected_batches, shard
from kbench.errors import RunError
from kbench.records.schema import EpochRecord
from kbench.strategies.api import Batch, Epoch, EpochPlan, Phase, Strategy
from kbench.tasks.workload import Workload

Save = Callable[..., None]
Report = Callable[[EpochRecord], None]
BEGINNING = ResumePoint()


@dataclass
class Run:
    """All that outlives an epoch."""

    strategy: Strategy
    workload: Workload
    comm: Comm
    store: SampleStore
    timer: PhaseTimer
    seed: int
    attempt: int
    facts: dict[str, str | None] = field(default_factory=dict)  # that comparisons need, by column
    has_waited: bool = False  # since its last epoch, while others had the machine
    final_hits: Tensor | None = None  # (n,) uint8 of the validation set, from the last evaluation of all

    def __post_init__(self) -> None:
        self.watched = Guarded(self.strategy, self.workload.device)
        self.monitor = DisturbanceMonitor(self.workload.device)


def train(
    run: Run, start: ResumePoint = BEGINNING, save: Save = lambda **_: None, report: Report = lambda _: None
) -> Iterator[EpochRecord]:
    """Train through every phase; yield a record when an epoch is trained, evaluated, reported and saved.

    ``save`` gets where the run stands (phase, epoch, elapsed_s, learner) when the record has been reported.
    """
    elapsed_s = start.elapsed_s
    phases = run.watched.phases(run.workload.recipe.epochs)
    for number, phase in list(enumerate(phases))[start.phase :]:
        learner = Learner(run.workload, run.seed, run.comm)
        run.facts |= fingerprint(run.workload, learner.module, run.seed)
        if run.store.memory is None:
            _make_memory(run, learner)
        learner.warm_up(_first_batch(run))
        first = start.epoch if number == start.phase else 0
        if first:
            start.restore(learner, run.store, run.strategy, rank=run.comm.rank)
            run.watched.disturbed |= dict.fromkeys(start.disturbed)
        for index in range(first, phase.epochs):
            if run.has_waited:
                learner.warm_up_again(_first_batch(run))
                run.has_waited = False
            epoch = _epoch(run, phase, index)
            closing = epoch.last and phase is phases[-1]
            metrics = train_epoch(run, phase, epoch, learner, closing=closing)
            elapsed_s += metrics.train_s
            run.facts["disturbs"] = ", ".join(run.watched.disturbed) or None
            score = evaluate(learner, run.comm, with_hits=closing)
            run.final_hits = score.hits
            record = metrics.record(run.attempt, elapsed_s, score)
            report(record)
            save(phase=number, epoch=index + 1, elapsed_s=elapsed_s, learner=learner)
            yield record


def train_epoch(run: Run, phase: Phase, epoch: Epoch, learner: Learner, *, closing: bool) -> EpochMetrics:
    """Plan, train, refresh, merge: everything that a method must pay for, on the clock."""
    workload, comm, timer = run.workload, run.comm, run.timer
    metrics = EpochMetrics(workload.device, comm, workload.recipe.global_batch, run.monitor)
    metrics.start(timer)

    plan = run.watched.plan(epoch, run.store.view())
    if comm.size > 1:
        comm.agree(plan.digest(), f"the plan of epoch {epoch.index} ({epoch.phase})")
    learner.as_coded, learner.warming_up, began = plan.as_coded, epoch.warmup, learner.n_updates
    timer.lap("plan_s")

    probe = ModelProbe(learner, run.store, epoch, comm, _local_rng(run, epoch))
    size = workload.recipe.global_batch // comm.size
    steps, again = _steps(run, epoch, plan), _refreshed(run, plan, size=size, closing=closing)
    if cold := learner.cold(map(len, steps)):  # candidates that select may measure
        timer.lap("data_s")
        with metrics.off_clock(timer):
            learner.warm_up_measurements(cold)
    if learner.is_cold(plan.image_size):
        with metrics.off_clock(timer):
            learner.warm_up_images(_first_batch(run, plan.image_size), plan.image_size)
    loaded = _load(run, epoch, plan, steps, again)  # at once: what reads samples need not start anew for a refresh
    candidates = _candidates(plan, steps, loaded, timer)
    for position, batch in selected_batches(candidates, run.watched, probe, timer, size=size):
        for _ in range(plan.repeats):
            passed = _passed(run, epoch, plan, position, n_updates=learner.n_updates)
            lr = learning_rate(workload.recipe, passed / phase.horizon) * plan.lr_scale
            measured = learner.step(batch, lr, timer)
            run.store.write(batch.index, measured)
            run.watched.observe(batch, measured)
            metrics.trained(measured, learner.smoothed)
            timer.lap("select_s")

    probe.settle()
    run.watched.close_epoch()
    timer.lap("select_s")
    learner.average_buffers(comm)
    timer.lap("sync_s")
    if plan.refresh is not None and not closing:
        for batch in loaded:
            _refresh(run, learner, batch)
            metrics.n_refreshed += len(batch)
        timer.lap("refresh_s")
        if plan.as_coded.refresh_in == "train":  # every rank moved its own
            comm.average_buffers(learner.module)
    run.store.merge(comm)
    timer.lap("sync_s")
    metrics.stop(timer)

    if comm.size > 1:
        comm.agree(learner.digest(), f"the model after epoch {epoch.index} ({epoch.phase})")
    passed = _passed(run, epoch, plan, 0.5, n_updates=(began + learner.n_updates) / 2)
    metrics.close(epoch, plan, probe, lr=learning_rate(workload.recipe, passed / phase.horizon))
    return metrics


def _make_memory(run: Run, learner: Learner) -> None:
    """Make room for what the strategy remembers of each sample; nothing where it remembers nothing."""
    width = run.watched.memory_width(run.workload.n_classes, learner.n_features)
    if width:
        run.store.widen(width)


def _refresh(run: Run, learner: Learner, batch: Batch) -> None:
    """Measure a batch again, and let the strategy remember of it what it wants to."""
    if run.store.memory is None:
        run.store.write(batch.index, learner.refresh(batch))
        return
    measured, outputs = learner.measure_outputs(batch)
    run.store.write(batch.index, measured)
    run.store.remember(batch.index, run.watched.remember(batch, outputs))


def _passed(run: Run, epoch: Epoch, plan: EpochPlan, position: float, *, n_updates: float) -> float:
    """Epochs passed on the clock that the learning rate follows."""
    if plan.as_coded.lr_clock == "epochs":
        return epoch.index + position
    return n_updates / (run.workload.n_samples // run.workload.recipe.global_batch)


def _epoch(run: Run, phase: Phase, index: int) -> Epoch:
    # Dropout knows no generator but torch's own; this is the one place that seeds it.
    torch.manual_seed(seeds.stream(run.seed, "dropout", phase.name, index, run.comm.rank))
    return Epoch(
        phase=phase.name,
        index=index,
        epochs=phase.epochs,
        n_samples=run.workload.n_samples,
        n_classes=run.workload.n_classes,
        warmup=warming_up(run.workload.recipe, index, phase.horizon),
        device=run.workload.device,
        rng=seeds.generator(run.seed, "plan", phase.name, index),
        image_size=run.workload.shape[1] if run.workload.shape[1] == run.workload.shape[2] else 0,
    )


def _local_rng(run: Run, epoch: Epoch) -> torch.Generator:
    key = (run.seed, "local", epoch.phase, epoch.index, run.comm.rank)
    return seeds.generator(*key, device=run.workload.device)


def _steps(run: Run, epoch: Epoch, plan: EpochPlan) -> tuple[Tensor, ...]:
    """The ids of this rank's candidates, step by step; raises RunError where there is no step."""
    rng = seeds.generator(run.seed, "order", epoch.phase, epoch.index)
    steps = shard(
        plan.indices,
        rng,
        global_batch=run.workload.recipe.global_batch,
        candidate_batches=plan.candidate_batches,
        comm=run.comm,
    )
    if not steps:
        raise RunError(
            f"{run.strategy} left {len(plan.indices)} samples for epoch {epoch.index} ({epoch.phase}), "
            f"fewer than one global batch of {run.workload.recipe.global_batch}",
            hint="hide less, or use a smaller global_batch",
        )
    return steps


def _refreshed(run: Run, plan: EpochPlan, *, size: int, closing: bool) -> tuple[Tensor, ...]:
    """The ids of this rank's batches to measure after training, of which the last may be short."""
    if plan.refresh is None or closing:
        return ()
    in_pairs = run.workload.mixing is not None
    mine = dealt_in_pairs(plan.refresh, run.comm) if in_pairs else plan.refresh[run.comm.rank :: run.comm.size]
    return torch.split(mine, size) if len(mine) else ()


def _candidates(
    plan: EpochPlan, steps: Sequence[Tensor], loaded: Iterator[Batch], timer: PhaseTimer
) -> Iterator[PositionedBatch]:
    """The first of the batches that were ``loaded``, those of ``steps``, each with its position in the epoch."""
    seen, total = 0, sum(map(len, steps))
    for _, batch in zip(steps, loaded, strict=False):  # in this order: what is left is not touched
        weight = None if plan.weights is None else plan.weights[batch.index]
        timer.lap("data_s")
        yield PositionedBatch(seen / total, (seen + len(batch)) / total, replace(batch, weight=weight))
        seen += len(batch)


def _load(run: Run, epoch: Epoch, plan: EpochPlan, steps: Sequence[Tensor], again: Sequence[Tensor]) -> Iterator[Batch]:
    """Batches of the samples of ``steps``, then of ``again``, as they look in this epoch on any rank and always."""
    key, workload = seeds.stream(run.seed, "augment", epoch.phase, epoch.index), run.workload
    views = workload.batches([*steps, *again], key=key, image_size=plan.image_size, augment=plan.augment)
    loaded = (Batch(index, x, y) for index, x, y in views)
    if workload.mixing is None:
        return loaded
    size = workload.recipe.global_batch // run.comm.size
    return mixed(loaded, workload, steps=steps, refreshed=again, size=size, key=key, comm=run.comm)


def _first_batch(run: Run, image_size: int | None = None) -> Batch:
    size = run.workload.recipe.global_batch // run.comm.size
    ids = torch.arange(size, device=run.workload.device)
    index, x, y = next(run.workload.batches([ids], key=0, image_size=image_size))
    return Batch(index, x, y)
