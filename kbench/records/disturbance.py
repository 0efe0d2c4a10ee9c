"""Whether a run was disturbed: what was measured beside its clock, held against its siblings and against fixed limits.

Siblings are the other seeds of a strategy on a pair, measured by the same instruments.  What is not known disturbs
nobody.  ``docs/the-clock.md`` says what is done with a disturbed run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, NamedTuple

from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot

LOST = 0.10  # of its time against its siblings: disturbed, where there is a sign of others
LOST_MUCH = 0.25  # the same without any
WAITED, OTHERS = 0.05, 0.08  # no sibling needed: its threads waited, while others used the machine
LOW_SHARE, MANY_OTHERS = 0.5, 0.25  # the same where the system does not say how long threads wait
STEAL = 0.10  # no sibling needed
MORE = 2.0  # times what its sibling had: it is a sign
LISTED = 4  # times of siblings in a sentence; of more the least and the most


class Sign(NamedTuple):
    """A figure that shows somebody else at work: its name in ``Surroundings``, from where on it counts, in words."""

    name: str
    floor: float
    text: str


SIGNS = (
    Sign("others_share", 0.05, "others used {:.0%} of the machine"),
    Sign("steal_share", 0.02, "the hypervisor took {:.0%} of the machine"),
    Sign("gpu_throttled", 0.05, "its GPU was held below its clock for {:.0%} of the time"),
    Sign("gpu_others", 1.0, "{:.0f} other processes used its GPU"),
    Sign("waited_share", 0.02, "its threads waited for a processor in {:.0%} of the time that they were ready"),
    Sign("switches_per_s", 50.0, "its threads had to leave their processors {:.0f} times a second"),
    Sign("pressure_memory", 0.05, "tasks waited for memory in {:.0%} of the time"),
    Sign("pressure_io", 0.2, "tasks waited for input or output in {:.0%} of the time"),
    Sign("pressure_cpu", 0.2, "tasks waited for a processor in {:.0%} of the time"),
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What was measured beside the clock over an epoch, or several; None is not known."""

    train_s: float
    n_passes: int | None = None  # samples trained, scored and refreshed
    cpu_share: float | None = None  # of the run's own processors [fraction]
    waited_share: float | None = None  # of the time in which its threads were ready to run [fraction]
    switches_per_s: float | None = None
    others_share: float | None = None
    steal_share: float | None = None
    pressure_cpu: float | None = None
    pressure_memory: float | None = None
    pressure_io: float | None = None
    gpu_throttled: float | None = None  # of the time [fraction]
    gpu_others: float | None = None


MEANS = tuple(name for name in Surroundings.__dataclass_fields__ if name not in ("train_s", "n_passes"))
PASSES = ("n_trained", "n_scored", "n_refreshed")
COLUMNS = (  # of an epoch that Surroundings are made of
    *("train_s", "charged_s", "cpu_s", "cpu_share", "cpu_wait_s", "ctx_involuntary", "others_share", "steal_share"),
    *("pressure_cpu", "pressure_memory", "pressure_io", "gpu_throttled", "gpu_throttle_s", "gpu_others", *PASSES),
)


def surroundings(epoch: Mapping[str, object]) -> Surroundings | None:
    """What is known of an epoch from its columns; None where its time is not. NaN is not known either."""
    known = {name: value for name, value in epoch.items() if value is not None and value == value}
    numbers = {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
    train_s = numbers.get("train_s", 0.0) - numbers.get("charged_s", 0.0)  # what was done elsewhere saw nothing of this
    if not train_s > 0:
        return None
    cpu_s, wait_s, n_switches = (numbers.get(name) for name in ("cpu_s", "cpu_wait_s", "ctx_involuntary"))
    ready_s = None if cpu_s is None or wait_s is None else cpu_s + wait_s
    throttled = numbers["gpu_throttle_s"] / train_s if "gpu_throttle_s" in numbers else None
    if throttled is None and "gpu_throttled" in known:  # no counter: the reasons as the epoch ended
        throttled = float(bool(known["gpu_throttled"]))
    same = ("cpu_share", "others_share", "steal_share", "gpu_others", "pressure_cpu", "pressure_memory", "pressure_io")
    return Surroundings(
        train_s=train_s,
        n_passes=int(sum(numbers[name] for name in PASSES)) if all(name in numbers for name in PASSES) else None,
        waited_share=wait_s / ready_s if wait_s is not None and ready_s else None,
        switches_per_s=None if n_switches is None else n_switches / train_s,
        gpu_throttled=throttled,
        **{name: numbers.get(name) for name in same},
    )


def over(epochs: Sequence[Surroundings]) -> Surroundings:
    """Several epochs taken together: means weighted by time, of those in which a figure is known."""
    passes = [epoch.n_passes for epoch in epochs if epoch.n_passes is not None]
    means: dict[str, Any] = {name: _mean(epochs, name) for name in MEANS}
    return Surroundings(
        train_s=sum(epoch.train_s for epoch in epochs),
        n_passes=sum(passes) if len(passes) == len(epochs) else None,
        **means,
    )


def _mean(epochs: Sequence[Surroundings], name: str) -> float | None:
    known = [(float(value), epoch.train_s) for epoch in epochs if (value := getattr(epoch, name)) is not None]
    return sum(value * train_s for value, train_s in known) / sum(s for _, s in known) if known else None


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run as the rule sees it."""

    run_id: str
    pair: str
    strategy: str
    seed: int
    instruments: tuple[object, ...]  # runs in which they differ are no siblings
    on_gpu: bool
    epochs: tuple[Surroundings, ...]


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """A run that was disturbed, and what shows it."""

    run_id: str
    pair: str
    strategy: str
    seed: int
    train_s: float
    siblings_s: tuple[float, ...]  # [s] of training of its siblings, over as many epochs
    epochs: tuple[int, ...]  # that were disturbed, from 1 over all phases; none: the whole was, and no epoch alone
    n_epochs: int
    evidence: tuple[str, ...]

    @property
    def name(self) -> str:
        """As in ``iswr s0``."""
        return f"{self.strategy} s{self.seed}"

    @property
    def text(self) -> str:
        """A sentence with the figures."""
        where = ""
        if 0 < len(self.epochs) < self.n_epochs:
            where = f" (epochs {_ranges(self.epochs)} of {self.n_epochs})"
        return f"{self.name} took {_seconds(self.train_s)} s{self._others}; {', '.join(self.evidence)}{where}"

    @property
    def _others(self) -> str:
        times = [_seconds(s) for s in self.siblings_s]
        if not times:
            return ""
        if len(times) == 1:
            return f", its other seed {times[0]}"
        if len(times) > LISTED:
            return (
                f", its {len(times)} other seeds {_seconds(min(self.siblings_s))} to {_seconds(max(self.siblings_s))}"
            )
        return f", its other seeds {', '.join(times[:-1])} and {times[-1]}"


def instruments(run: Mapping[str, object]) -> tuple[object, ...]:
    """What siblings have in common, from the columns of a run."""
    names = ("ranks", "threads_per_rank", "max_parallel", "device_name", "n_devices", "spin")
    return (*(run.get(name) for name in names), run.get("pairing") == "turns")


def find_disturbed(runs: Iterable[MeasuredRun]) -> dict[str, Disturbed]:
    """The disturbed ones of some runs, by run id; siblings are found among the same runs."""
    groups: dict[tuple[object, ...], list[MeasuredRun]] = {}
    for run in runs:
        if run.epochs:
            groups.setdefault((run.pair, run.strategy, run.on_gpu, *run.instruments), []).append(run)
    found = {}
    for group in groups.values():
        for n in dict.fromkeys(len(run.epochs) for run in group):
            far_enough = [(run, over(run.epochs[:n])) for run in group if len(run.epochs) >= n]
            for run, whole in far_enough:
                if len(run.epochs) == n and _is_known(whole, on_gpu=run.on_gpu):
                    judged = _judge(run, whole, [other for other in far_enough if other[0] is not run])
                    if judged:
                        found[run.run_id] = judged
    return found


def disturbed_runs(runs: Iterable[RunSnapshot]) -> dict[str, Disturbed]:
    """The disturbed ones of an experiment's runs, done or not, by run id."""
    return find_disturbed(measured for run in runs if (measured := measured_run(run)))


def measured_run(run: RunSnapshot) -> MeasuredRun | None:
    """A run as the rule sees it; None for one that failed or is damaged, or whose spec cannot be read."""
    spec, place = run.spec, run.provenance
    if spec is None or run.failure is not None or run.trouble:
        return None
    found = [surroundings(_columns(epoch)) for epoch in run.epochs]
    return MeasuredRun(
        run_id=run.run_id,
        pair=spec.pair.name,
        strategy=spec.strategy.label,
        seed=spec.seed,
        instruments=instruments(dict(place) | {"ranks": spec.ranks}),
        on_gpu=bool(place.n_devices),
        epochs=tuple(epoch for epoch in found if epoch),
    )


def _columns(epoch: EpochRecord) -> dict[str, object]:
    return {name: getattr(epoch, name) for name in COLUMNS}


def _is_known(own: Surroundings, *, on_gpu: bool) -> bool:
    """Whether there is anything by which a run can be judged."""
    figures = (own.n_passes,) if on_gpu else (own.cpu_share, own.steal_share, own.others_share)
    return any(figure is not None for figure in figures)


def _judge(
    run: MeasuredRun, whole: Surroundings, siblings: Sequence[tuple[MeasuredRun, Surroundings]]
) -> Disturbed | None:
    """Hold a run against its siblings over as many epochs, then each epoch against theirs."""
    n, others = len(run.epochs), [other for _, other in siblings]
    evidence = _evidence(whole, others, on_gpu=run.on_gpu)
    if not evidence:
        return None
    same = [[other.epochs[i] for other, _ in siblings] for i in range(n)]
    epochs = [i + 1 for i in range(n) if _evidence(run.epochs[i], same[i], on_gpu=run.on_gpu)]
    return Disturbed(
        run_id=run.run_id,
        pair=run.pair,
        strategy=run.strategy,
        seed=run.seed,
        train_s=whole.train_s,
        siblings_s=tuple(other.train_s for other in others),
        epochs=tuple(epochs),
        n_epochs=n,
        evidence=evidence,
    )


def _evidence(own: Surroundings, siblings: Sequence[Surroundings], *, on_gpu: bool) -> tuple[str, ...]:
    """What shows that ``own`` was disturbed; nothing where it was not, or nothing is known."""
    if on_gpu:
        return _per_sample(own, siblings)
    return _share(own, siblings) or _absolute(own)


def _share(own: Surroundings, siblings: Sequence[Surroundings]) -> tuple[str, ...]:
    """A CPU run had less of its processors than the sibling that had most: nothing but a disturbance lowers a share."""
    known = [other for other in siblings if other.cpu_share]
    if own.cpu_share is None or not known:
        return ()
    best = max(known, key=lambda other: other.cpu_share or 0.0)
    assert best.cpu_share is not None, "known"
    lost, signs = 1 - own.cpu_share / best.cpu_share, _signs(own, best)
    if lost < LOST or (lost < LOST_MUCH and not signs):
        return ()
    return (f"it had {_percent(own.cpu_share)} of its processors, they up to {_percent(best.cpu_share)}", *signs[:1])


def _absolute(own: Surroundings) -> tuple[str, ...]:
    """A CPU run waited while others used the machine, whatever became of its siblings."""
    others, share = own.others_share, own.cpu_share
    if own.steal_share is not None and own.steal_share >= STEAL:
        return (f"the hypervisor took {_percent(own.steal_share)} of the machine",)
    if others is None:
        return ()
    if own.waited_share is None:
        is_low = share is not None and share <= LOW_SHARE and others >= MANY_OTHERS
    else:
        is_low = own.waited_share >= WAITED and others >= OTHERS
    if not is_low:
        return ()
    had = [f"it had {_percent(share)} of its processors"] if share is not None else []
    return (*had, *_signs(own, None)[:2])


def _per_sample(own: Surroundings, siblings: Sequence[Surroundings]) -> tuple[str, ...]:
    """A GPU run took longer for a sample than its siblings did."""
    paces = [(other.train_s / other.n_passes, other) for other in siblings if other.n_passes]
    if not own.n_passes or not paces:
        return ()
    usual = median_low(pace for pace, _ in paces)
    sibling = next(other for pace, other in paces if pace == usual)
    times = own.train_s / own.n_passes / usual
    lost, signs = 1 - 1 / times, _signs(own, sibling)
    if lost < LOST or (lost < LOST_MUCH and not signs):
        return ()
    return (f"it took {times:.2f} times as long for a sample", *(signs[:2] or ("why is not on record",)))


def _signs(own: Surroundings, sibling: Surroundings | None) -> tuple[str, ...]:
    """The figures that show others at work, in words: high, and well above the sibling's."""
    found = []
    for name, floor, text in SIGNS:
        value, usual = getattr(own, name), getattr(sibling, name) if sibling else None
        if value is not None and value >= max(floor, MORE * (usual or 0.0)):
            found.append(text.format(value).replace("%", " %"))
    return tuple(found)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 1000 else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2g}"


def _ranges(numbers: Sequence[int]) -> str:
    """As in ``1, 3-5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
