"""Seed plans: how many seeds would show that strategies save time within a margin, and what those runs cost.

A strategy is shown where two one-sided t tests reject, of no time saved and of a loss of the margin
(``analysis/margin.py``).  What it truly loses and saves is assumed, as in any plan; how much that varies from seed to
seed is measured.  A standard deviation of few seeds is itself uncertain, so there is a second number, with each at its
upper bound of 80 % (chi-square): with that, the power is reached in 80 % of the plans (Browne 1995, Statistics in
Medicine 14, 1933-1940).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, cast

import pandas as pd
from scipy import special

from kbench.analysis.frame import Frames
from kbench.analysis.interval import MIN_VALUES, PLAIN, ROUNDING, estimate, estimate_change, standard_deviation
from kbench.analysis.margin import MOST_SEEDS, POWER, seeds_needed
from kbench.analysis.pairing import comparable_runs, differences, pair_with, ratios, timed
from kbench.records.calibration import Spread

SURE = 0.8  # of the upper bound of a standard deviation
Source = Literal["runs", "calibration", "baseline", "nothing"]
TimeSource = Literal["runs", "pair", "calibration"]  # whose time is taken for a run's


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be shown, and what is taken for true."""

    margins: Mapping[str, float]  # [fraction] of final accuracy that may be lost, by pair
    power: float = POWER
    loses: float = 0.0  # [fraction] of final accuracy that a strategy truly loses
    saves: float | None = None  # [fraction] of the training time that it truly saves; None: as measured
    alpha: float = PLAIN.one_sided  # of each test, before it is shared among the strategies of a pair


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A standard deviation over seeds, of paired differences, as far as it is known."""

    sd: float
    df: int  # degrees of freedom

    @property
    def high(self) -> float:
        """Its upper bound, 80 %: that of a chi-square distribution."""
        return self.sd * math.sqrt(self.df / float(special.chdtri(self.df, SURE)))


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What is known of a strategy on a pair, and from where."""

    source: Source
    n_seeds: int = 0
    accuracy: Deviation | None = None  # of differences of the final accuracy [fraction]
    time: Deviation | None = None  # of logarithms of the ratio of training times
    saves: float | None = None  # [fraction] measured
    loses_at_least: float | None = None  # [fraction] measured, one-sided bound, 95 %


@dataclass(frozen=True, kw_only=True)
class StrategyPlan:
    """How many seeds a strategy takes on a pair, and what they cost."""

    pair: str
    strategy: str
    margin: float  # [fraction]
    source: Source
    n_source_seeds: int
    loses: float  # [fraction] assumed
    saves: float | None  # [fraction] assumed, or measured; None: neither
    acc_sd: float | None = None
    acc_sd_high: float | None = None
    time_sd: float | None = None
    time_sd_high: float | None = None
    seeds: int | None = None
    seeds_high: int | None = None  # with each standard deviation at its upper bound
    shows_saving_from: float | None = None  # [fraction] where ``saves`` is not known: the smallest that it would show
    run_s: float | None = None  # [s] training, evaluation and staging of a run
    run_s_from: TimeSource | None = None
    node_hours: float | None = None  # of its runs and the baseline's, ``seeds`` of each
    why: str = ""  # there is no number of seeds


@dataclass(frozen=True, kw_only=True)
class SeedPlan:
    """How many seeds an experiment takes to show what is asked, and what its runs cost."""

    experiment: str
    power: float
    strategies: tuple[StrategyPlan, ...]
    seeds: int | None  # with which each strategy has the power, where any number does
    seeds_high: int | None
    n_done: int  # seeds that all runs are done of
    n_runs: int | None = None  # of ``seeds`` seeds: all strategies, all pairs
    n_runs_left: int | None = None
    node_hours: float | None = None  # of all these runs
    node_hours_left: float | None = None
    node_hours_high: float | None = None  # of all runs of ``seeds_high`` seeds
    days_left: float | None = None
    n_parallel: int = 1  # runs at a time, for ``days_left``
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The plan for programs: fractions, seconds, node-hours, days."""
        return asdict(self)


def strategy_plan(pair: str, strategy: str, basis: Basis, question: Question, *, n_rivals: int) -> StrategyPlan:
    """Plan one strategy on a pair.

    Args:
        pair: Its name.
        strategy: Its label.
        basis: What is known of it.
        question: What is to be shown.
        n_rivals: Strategies that are tested beside each other, which share ``alpha``.
    """
    saves = basis.saves if question.saves is None else question.saves
    plan = StrategyPlan(
        pair=pair, strategy=strategy, margin=question.margins[pair], source=basis.source, n_source_seeds=basis.n_seeds,
        loses=question.loses, saves=saves,
    )  # fmt: skip
    if basis.accuracy is None or (basis.time is None and saves is not None):
        lacks = "final accuracy" if basis.accuracy is None else "training time"
        return replace(plan, why=f"nothing tells how far its {lacks} varies from seed to seed")
    plan = replace(plan, acc_sd=basis.accuracy.sd, acc_sd_high=basis.accuracy.high)
    if basis.time is not None:
        plan = replace(plan, time_sd=basis.time.sd, time_sd_high=basis.time.high)
    if basis.loses_at_least is not None and basis.loses_at_least > plan.margin:
        return replace(plan, why=f"it is shown to lose at least {100 * basis.loses_at_least:.2f} points")
    if saves is not None and saves <= 0:
        return replace(plan, why=f"it took {-100 * saves:.1f} % more time, and more seeds would not show a saving")
    seeds, from_ = _seeds(plan, question, n_rivals, high=False)
    high, _ = _seeds(plan, question, n_rivals, high=True)
    why = "" if seeds else f"it would take more than {MOST_SEEDS} seeds"
    return replace(plan, seeds=seeds, seeds_high=high, shows_saving_from=from_, why=why)


def _seeds(plan: StrategyPlan, question: Question, n_rivals: int, *, high: bool) -> tuple[int | None, float | None]:
    """The number of seeds and, where the saving is not known, the smallest that it shows with the same power.

    The power is that of both tests; where one saving is as good as another, each of them has its root.
    """
    acc_sd, time_sd = (plan.acc_sd_high, plan.time_sd_high) if high else (plan.acc_sd, plan.time_sd)
    accuracy, alpha = (plan.margin - plan.loses, acc_sd or 0.0), question.alpha / n_rivals
    if plan.saves is not None:
        gaps = [(-math.log1p(-plan.saves), time_sd or 0.0), accuracy]
        return seeds_needed(gaps, power=question.power, alpha=alpha), None
    each = math.sqrt(question.power)
    n = seeds_needed([accuracy], power=each, alpha=alpha)
    if n is None or time_sd is None:
        return n, None
    critical = special.stdtrit(n - 1, 1 - alpha)
    return n, -math.expm1(-float(special.nctdtrinc(n - 1, 1 - each, critical)) * time_sd / math.sqrt(n))


class Bases:
    """Earlier runs of an experiment and the spreads of its calibration, to plan from."""

    def __init__(self, frames: Frames | None, spreads: Mapping[str, Spread], baseline: str) -> None:
        self._spreads, self._baseline = spreads, baseline
        self._runs = None if frames is None or frames.done.empty else comparable_runs(frames)
        self._matched = None if self._runs is None else pair_with(self._runs, baseline)
        self._done = None if frames is None else frames.done
        self._untimed = frames.untimed if frames is not None else frozenset()

    def of(self, pair: str, strategy: str) -> Basis:
        """What is known of a strategy: from its own runs, else the calibration, else the baseline's runs.

        The spread of time may be from another one than that of accuracy, as all times may have been disturbed.
        """
        own = self._rows(self._matched, pair, strategy)
        found = self._of_runs(own) if own is not None else Basis(source="nothing")
        for other in (self._of_calibration(pair), self._of_baseline(pair)):
            if found.accuracy is None:
                found = replace(found, source=other.source, n_seeds=other.n_seeds, accuracy=other.accuracy)
            if found.time is None:
                found = replace(found, time=other.time)
        return replace(found, source="nothing", n_seeds=0) if found.accuracy is None else found

    def _of_runs(self, own: pd.DataFrame) -> Basis:
        """The runs of a strategy and their baseline's; times of those that were not disturbed."""
        lost, changes = differences(own, "final_acc1"), [float(r) for r in ratios(timed(own), "total_train_s")]
        saving = estimate_change(changes).mean if len(changes) > 1 else None
        at_most = estimate(lost).at_most
        return Basis(
            source="runs",
            n_seeds=len(own),
            accuracy=_deviation(lost),
            time=_deviation([math.log(r) if r > 0 else math.nan for r in changes]),
            saves=None if saving is None else -saving,
            loses_at_least=None if at_most is None else -at_most,
        )

    def _of_calibration(self, pair: str) -> Basis:
        """The baseline against itself: two strategies of one seed are taken for independent."""
        spread = self._spreads.get(pair)
        final = None if spread is None else spread.acc_sd if spread.final_sd is None else spread.final_sd
        if spread is None or not final:
            return Basis(source="nothing")
        accuracy = Deviation(sd=math.sqrt(2) * final, df=spread.n_seeds - 1)
        n_twins = spread.n_seeds  # those that were not disturbed may be fewer, but which is not on record
        time = Deviation(sd=spread.time_sd, df=n_twins) if spread.time_sd else None  # the mean of twins is known
        return Basis(source="calibration", n_seeds=spread.n_seeds, accuracy=accuracy, time=time)

    def _of_baseline(self, pair: str) -> Basis:
        """The baseline's runs alone, seeds and strategies taken for independent."""
        own = self._rows(self._runs, pair, self._baseline)
        if own is None:
            return Basis(source="nothing")
        seconds = own["total_train_s"].dropna().astype(float)
        accuracy = _deviation(own["final_acc1"].astype(float).tolist(), times=math.sqrt(2))
        time = _deviation([math.log(s) for s in seconds if s > 0], times=math.sqrt(2))
        return Basis(source="baseline", n_seeds=len(own), accuracy=accuracy, time=time)

    def run_s(self, pair: str, strategy: str) -> tuple[float | None, TimeSource | None]:
        """The mean time of a run [s], evaluation and staging included, and whose it is."""
        for source, rows in (("runs", self._rows(self._done, pair, strategy)), ("pair", self._rows(self._done, pair))):
            known = None if rows is None else rows.dropna(subset="total_s")
            if known is not None and len(known):
                quiet = known[~known["run_id"].isin(self._untimed)]  # a disturbed run tells more than none
                return float((known if quiet.empty else quiet)["total_s"].mean()), cast(TimeSource, source)
        spread = self._spreads.get(pair)
        seconds = None if spread is None else spread.total_s if spread.total_s is not None else spread.run_s
        return seconds, None if seconds is None else "calibration"

    def n_done(self, pair: str, strategy: str) -> int:
        """How many runs of a strategy are done."""
        own = self._rows(self._runs, pair, strategy)
        return 0 if own is None else len(own)

    def _rows(self, table: pd.DataFrame | None, pair: str, strategy: str = "") -> pd.DataFrame | None:
        """The rows of a pair, of one strategy or of all."""
        if table is None:
            return None
        rows = table[table["pair"] == pair]
        return rows[rows["strategy"] == strategy] if strategy else rows


def _deviation(values: Sequence[float], *, times: float = 1.0) -> Deviation | None:
    """The standard deviation; None for fewer than three values, and where it is none but for rounding."""
    sd = standard_deviation(values) if len(values) >= MIN_VALUES else None
    if sd is None or sd <= ROUNDING * max(map(abs, values)):
        return None
    return Deviation(sd=times * sd, df=len(values) - 1)


def seed_plan(
    experiment: str,
    question: Question,
    known: Bases,
    pairs: Mapping[str, Sequence[str]],
    *,
    baseline: str,
    planned: Sequence[str],
    nodes: int,
    n_parallel: int = 1,
    notes: Sequence[str] = (),
) -> SeedPlan:
    """Plan an experiment: the seeds of each strategy, and the cost of all runs.

    Args:
        experiment: Its name.
        question: What is to be shown.
        known: What there is to plan from.
        pairs: The strategies of each pair.
        baseline: The one that the others are compared with.
        planned: Pairs on which strategies save time, or do not; on others all train alike.
        nodes: That a run takes.
        n_parallel: Runs at a time.
        notes: What else must be known.
    """
    found = []
    for pair in planned:
        others = [strategy for strategy in pairs[pair] if strategy != baseline]
        base_s, _ = known.run_s(pair, baseline)
        for strategy in others:
            plan = strategy_plan(pair, strategy, known.of(pair, strategy), question, n_rivals=len(others))
            run_s, source = known.run_s(pair, strategy)
            hours = None
            if plan.seeds is not None and run_s is not None and base_s is not None:
                hours = plan.seeds * (run_s + base_s) * nodes / 3600
            found.append(replace(plan, run_s=run_s, run_s_from=source, node_hours=hours))
    whole = SeedPlan(
        experiment=experiment,
        power=question.power,
        strategies=tuple(found),
        seeds=max((plan.seeds for plan in found if plan.seeds), default=None),
        seeds_high=None,
        n_done=min((known.n_done(pair, strategy) for pair in pairs for strategy in pairs[pair]), default=0),
        n_parallel=n_parallel,
        notes=tuple(notes),
    )
    if all(plan.seeds_high for plan in found if plan.seeds):
        whole = replace(whole, seeds_high=max((plan.seeds_high or 0 for plan in found), default=None) or None)
    return _with_cost(whole, known, [(pair, strategy) for pair in pairs for strategy in pairs[pair]], nodes)


def _with_cost(plan: SeedPlan, known: Bases, keys: Sequence[tuple[str, str]], nodes: int) -> SeedPlan:
    """The plan with the cost of the runs of all strategies and pairs; no hours where a run's time is not known."""
    seeds = plan.seeds
    if seeds is None:
        return plan
    n_left = {key: max(0, seeds - known.n_done(*key)) for key in keys}
    plan = replace(plan, n_runs=seeds * len(keys), n_runs_left=sum(n_left.values()))
    seconds = {key: s for key in keys if (s := known.run_s(*key)[0]) is not None}
    if len(seconds) < len(keys):
        return plan
    hours = nodes * math.fsum(seconds.values()) / 3600  # of one seed
    left_s = math.fsum(n_left[key] * s for key, s in seconds.items())
    return replace(
        plan,
        node_hours=seeds * hours,
        node_hours_left=nodes * left_s / 3600,
        node_hours_high=None if plan.seeds_high is None else plan.seeds_high * hours,
        days_left=left_s / plan.n_parallel / 86400,
    )
