"""MLPerf's way: epochs and time to a benchmark's target, olympic means, the test against reference convergence points.

Rules: mlcommons/training_policies @d73e20f, training_rules.adoc, "Benchmark Results" and "Reference Convergence
Points": of the runs that a benchmark requires the fastest and the slowest are left out, and the others averaged; a run
that does not converge counts as the slowest, and a second one makes the result invalid.  Of more runs every set of
consecutive ones is scored, and the set of the median score counts.  Who needs clearly fewer epochs than the reference
does something else: a one-sided t test at 5 % gives the fewest that are accepted, and what is faster than the reference
but accepted is normalised to its epochs.  Where the text and the program that checks submissions differ, this follows
the program (mlcommons/logging @7bbf792, rcp_checker.py), which takes the deviation of all reference runs, not of those
averaged.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean, pstdev
from typing import Literal, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kbench.analysis.curve import curves, seconds_to
from kbench.analysis.finding import Finding, about, note
from kbench.analysis.frame import Frames, last_phase
from kbench.analysis.interval import least_difference
from kbench.analysis.roles import read_specs
from kbench.analysis.tables.model import NONE, Cell, Line, Number, Table, cell, number, percent, seconds
from kbench.config.run_spec import RunSpec
from kbench.errors import ConfigError
from kbench.records import imported

FACTS = Path(__file__).with_name("mlperf.json")
RcpTest = Literal["passes", "too fast", "no reference", "no score"]


class Benchmark(BaseModel):
    """A benchmark: its target, and the epochs in which runs of the reference reached it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    round: str = ""
    target: float | None = None  # None: a file of reference points does not say
    datasets: tuple[str, ...] = ()  # kbench's names
    models: tuple[str, ...] = ()
    points: Mapping[int, tuple[float, ...]]  # by global batch
    n_runs: int = Field(default=0, ge=0)  # that a result takes; 0: not known
    n_dropped: int = 1  # at each end


class Facts(BaseModel):
    """What ``mlperf.json`` holds, and where that is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    runs: Mapping[str, int]  # that a result takes, by benchmark
    dropped: Mapping[str, int]  # at each end, where it is not one
    benchmarks: tuple[Benchmark, ...]

    def complete(self, benchmark: Benchmark) -> Benchmark:
        """The benchmark with the number of its runs."""
        numbers = {"n_runs": self.runs.get(benchmark.name, 0), "n_dropped": self.dropped.get(benchmark.name, 1)}
        return benchmark.model_copy(update=numbers)


@cache
def load_facts() -> Facts:
    """Read the facts that travel with kbench."""
    return Facts.model_validate_json(FACTS.read_bytes())


def read_points(path: Path) -> Benchmark:
    """Read reference convergence points as MLPerf keeps them (``rcps_NAME.json``); raises ConfigError."""
    try:
        records = list(json.loads(path.read_text(encoding="utf-8")).values())
        names = {str(record["Benchmark"]) for record in records}
        found = Benchmark(
            name=names.pop(), points={record["BS"]: tuple(record["Epochs to converge"]) for record in records}
        )
    except OSError as error:
        raise ConfigError(f"--rcp: {path}: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"--rcp: {path}: is no file of reference convergence points: {str(error).splitlines()[0]}",
            hint='it holds objects with "Benchmark", "BS" and "Epochs to converge", as rcps_deepcam.json of '
            "mlcommons/logging",
        ) from error
    if names:
        raise ConfigError(
            f"--rcp: {path}: holds points of several benchmarks, {', '.join(sorted({found.name, *names}))}"
        )
    return load_facts().complete(found)


class Reference(NamedTuple):
    """How fast the reference converges at a global batch."""

    mean: float  # epochs, olympic mean
    sd: float
    fewest: float  # epochs, mean of a result that is accepted


def olympic_mean(values: Sequence[float], *, n_dropped: int = 1) -> float:
    """The mean without the ``n_dropped`` lowest and highest; infinite where more did not converge."""
    return fmean(sorted(values)[n_dropped : len(values) - n_dropped])


def fewest_epochs(mean: float, sd: float, *, n_reference: int, n_result: int) -> float:
    """The mean number of epochs from which a result is accepted, by the one-sided two-sample t test.

    Args:
        mean: Of the reference.
        sd: Of both.
        n_reference: Runs behind it.
        n_result: Runs behind the result's mean.
    """
    return mean - least_difference(sd, n_reference, n_result)


def reference_at(benchmark: Benchmark, batch: int) -> Reference | None:
    """The reference at a global batch: its own point, or between two; below all points the one of the smallest.

    Points that are slower than what lies between their neighbours are passed over.  None beyond the largest batch.
    """
    points = _pruned(_references(benchmark))
    above = [each for each in points if each >= batch]
    if not above:
        return None
    if batch in points or batch < min(points):
        return points[min(above)]
    low, high = max(each for each in points if each < batch), min(above)
    share = (batch - low) / (high - low)
    mean, sd = (points[low][i] + share * (points[high][i] - points[low][i]) for i in (0, 1))
    return Reference(mean, sd, fewest_epochs(mean, sd, n_reference=2 * benchmark.n_runs, n_result=benchmark.n_runs - 2))


def _references(benchmark: Benchmark) -> dict[int, Reference]:
    found = {}
    for batch, epochs in sorted(benchmark.points.items()):
        n, n_dropped = len(epochs), benchmark.n_dropped
        mean, sd = olympic_mean(epochs, n_dropped=n_dropped), pstdev(epochs)
        fewest = fewest_epochs(mean, sd, n_reference=n - 2 * n_dropped, n_result=benchmark.n_runs - 2)
        found[batch] = Reference(mean, sd, fewest)
    return found


def _pruned(points: Mapping[int, Reference]) -> dict[int, Reference]:
    """The points of the fastest convergence: from the fastest of all on, without those above their neighbours' line."""
    fastest = min(points, key=lambda batch: points[batch].mean)
    kept_batches, place = [batch for batch in points if batch >= fastest], 1
    while place < len(kept_batches) - 1:
        low, batch, high = kept_batches[place - 1 : place + 2]
        line = points[low].mean + (batch - low) / (high - low) * (points[high].mean - points[low].mean)
        if points[batch].mean > line:
            del kept_batches[place]
            place -= 1
        place += 1
    return {batch: points[batch] for batch in kept_batches}


@dataclass(frozen=True, kw_only=True)
class MlperfScore:
    """What MLPerf's arithmetic makes of the runs of a strategy on a pair.  It is no MLPerf result."""

    pair: str
    strategy: str
    benchmark: str
    target: float  # [fraction]
    batch: int | None  # global; None: not on record
    n_required: int
    n_runs: int
    n_reached: int
    epochs: float | None = None  # to the target, olympic mean of the runs that are scored
    seconds: float | None = None  # [s] likewise, evaluation and staging included
    reference: float | None = None  # epochs of the reference
    fewest: float | None = None  # epochs from which a result is accepted
    test: RcpTest = "no score"
    normalized_s: float | None = None  # [s] at the reference's epochs, where it took fewer and is accepted
    why: str = ""  # there is no score, or no reference


class _Run(NamedTuple):
    epochs: float  # to the target; infinite: not reached
    seconds: float | None  # None: not known


def mlperf_scores(
    frames: Frames, benchmarks: Sequence[Benchmark], *, target: float | None = None, any_pair: bool = False
) -> tuple[list[MlperfScore], list[Finding]]:
    """Score the runs of each pair that is a benchmark.

    Args:
        frames: The gathered results, measured and imported.
        benchmarks: Those that pairs may be.
        target: The accuracy to reach [fraction]; None: the benchmark's.
        any_pair: All pairs are of the one benchmark.

    Returns:
        The scores, and which pairs are none.
    """
    specs, found, findings = read_specs(frames), [], []
    frames = replace(frames, clock="total")
    ended = frames.runs[frames.runs["state"].isin(["done", "failed"])]
    convergence = _Convergence(frames)
    for (pair, strategy), runs in ended.groupby(["pair", "strategy"], sort=False):
        key = (str(pair), str(strategy))
        benchmark = benchmarks[0] if any_pair else _benchmark_of(runs, benchmarks)
        accuracy = target if target is not None or benchmark is None else benchmark.target
        if benchmark is None or accuracy is None:
            findings.append(_unknown(key[0], benchmark, benchmarks))
            continue
        ordered = runs.sort_values("seed", kind="stable")
        own = [convergence.of(str(run_id), accuracy) for run_id in ordered["run_id"]]
        batch = _batch(frames, ordered, specs.get(key))
        score = MlperfScore(
            pair=key[0], strategy=key[1], benchmark=f"{benchmark.name} {benchmark.round}".strip(), target=accuracy,
            batch=batch, n_required=benchmark.n_runs, n_runs=len(own),
            n_reached=sum(math.isfinite(run.epochs) for run in own),
        )  # fmt: skip
        found.append(_scored(score, own, benchmark))
    return found, list(dict.fromkeys(findings))


def _unknown(pair: str, benchmark: Benchmark | None, benchmarks: Sequence[Benchmark]) -> Finding:
    if benchmark is not None:
        text = f"{pair}: a file of reference points names no target: --target says it"
    else:
        known = ", ".join(each.name for each in benchmarks)
        text = f"{pair}: is no benchmark of MLPerf that kbench knows ({known}); --rcp FILE takes the points of another"
    return note("mlperf", text, about(pair))


def _benchmark_of(runs: pd.DataFrame, benchmarks: Sequence[Benchmark]) -> Benchmark | None:
    """The benchmark that runs of a pair are of: by model and data set, of imported ones by the pair's name."""
    first = runs.iloc[0]
    for each in benchmarks:
        if first["model"] in each.models and first["dataset"] in each.datasets:
            return each
        if pd.notna(first["imported_from"]) and str(first["pair"]) == each.name:
            return each
    return None


def _batch(frames: Frames, runs: pd.DataFrame, spec: RunSpec | None) -> int | None:
    """The global batch of the runs, if it is on record and one."""
    if spec is not None:
        return spec.pair.recipe.global_batch
    if frames.folder is None:
        return None
    facts = [imported.read(frames.folder.run(str(run_id))).facts for run_id in runs["run_id"]]
    batches = {each.global_batch if each else None for each in facts}
    return batches.pop() if len(batches) == 1 else None


class _Convergence:
    """Epochs and time to a target, run by run."""

    def __init__(self, frames: Frames) -> None:
        self._epochs = dict(iter(frames.epochs.sort_values("elapsed_s", kind="stable").groupby("run_id", sort=False)))
        self._curves = {curve.run_id: curve for curve in curves(frames)}

    def of(self, run_id: str, target: float) -> _Run:
        """What a run took; one that is not done did not reach it."""
        curve, epochs = self._curves.get(run_id), self._epochs.get(run_id)
        if curve is None or epochs is None:
            return _Run(math.inf, None)
        last = last_phase(epochs)
        hits = last[last["val_acc1"].astype(float) >= target]
        if hits.empty:
            return _Run(math.inf, math.inf)
        number, first = float(hits["epoch"].iloc[0]), float(last["epoch"].min())
        seconds = seconds_to(curve, target)
        is_known = seconds is not None and math.isfinite(seconds)
        return _Run(len(epochs) - len(last) + number + (first == 0), seconds if is_known else None)


def _scored(score: MlperfScore, runs: Sequence[_Run], benchmark: Benchmark) -> MlperfScore:
    n = benchmark.n_runs
    if n < 2 * benchmark.n_dropped + 1:
        return replace(score, why=f"how many runs {benchmark.name} requires is not known: --runs N")
    if len(runs) < n:
        return replace(score, why=f"{n} runs are required")
    chosen = _median_set(runs, n, benchmark.n_dropped)
    epochs = olympic_mean([run.epochs for run in chosen], n_dropped=benchmark.n_dropped)
    if not math.isfinite(epochs):
        return replace(score, why=f"more than {benchmark.n_dropped} of {n} runs did not reach the target")
    times = [run.seconds for run in chosen if run.seconds is not None]
    seconds = olympic_mean(times, n_dropped=benchmark.n_dropped) if len(times) == n else None
    score = replace(score, epochs=epochs, seconds=seconds, test="no reference")
    if score.batch is None:
        return replace(score, why="its global batch is not on record")
    reference = reference_at(benchmark, score.batch)
    if reference is None:
        return replace(score, why=f"no reference has a global batch of {score.batch} or more")
    accepted = epochs >= reference.fewest
    if not accepted and score.batch < min(benchmark.points):
        return replace(score, why=f"no reference has a global batch of {score.batch} or less")
    normalized = None
    if accepted and seconds is not None:
        normalized = seconds * max(1.0, reference.mean / epochs)
    return replace(
        score, reference=reference.mean, fewest=reference.fewest, test="passes" if accepted else "too fast",
        normalized_s=normalized,
    )  # fmt: skip


def _median_set(runs: Sequence[_Run], n: int, n_dropped: int) -> Sequence[_Run]:
    """Of all ``n`` consecutive runs those whose score is the median; of an even number of sets the slower one."""
    sets = [runs[place : place + n] for place in range(len(runs) - n + 1)]

    def result(chosen: Sequence[_Run]) -> tuple[float, float]:
        times = [math.inf if run.seconds is None else run.seconds for run in chosen]
        by_time, by_epochs = (
            olympic_mean(values, n_dropped=n_dropped) for values in (times, [r.epochs for r in chosen])
        )
        return by_time, by_epochs

    return sorted(sets, key=result)[len(sets) // 2]


NOTES = (
    "MLPerf's arithmetic, and no MLPerf result: epochs and time (training, evaluation and staging) to the target, the "
    "mean of the runs that the benchmark requires without the fastest and the slowest; of more runs, by seed, the set "
    "of consecutive ones with the median time. reference: epochs of its reference runs at that global batch, pruned "
    "and interpolated; at least: from where on it is accepted (one-sided t test, 5 %); normalised: time at the "
    "reference's epochs where it took fewer. An epoch counts as one, however many samples it leaves out.",
)


def mlperf_tables(scores: Sequence[MlperfScore]) -> list[Table]:
    """A table for each pair that is a benchmark."""
    header = ("MLPerf", "runs", "reached", "epochs", "reference", "at least", "RCP test", "time", "normalised")
    found = []
    for pair in dict.fromkeys(score.pair for score in scores):
        own = [score for score in scores if score.pair == pair]
        target, batch = percent("", own[0].target, "g").text, own[0].batch or "not on record"
        title = f"{pair}: MLPerf {own[0].benchmark}, to {target} %, global batch {batch}"
        found.append(Table("mlperf", title, header, tuple(Line(pair, one.strategy, _cells(one)) for one in own), NOTES))
    return found


def _cells(one: MlperfScore) -> tuple[Cell, ...]:
    runs = Number("mlperf_runs", one.n_runs, f"{one.n_runs} of {one.n_required or '?'}")
    return (
        Cell(runs.text, (runs,)),
        cell(number("mlperf_reached", one.n_reached, "d")),
        cell(number("mlperf_epochs", one.epochs, ".2f")),
        cell(number("mlperf_reference", one.reference, ".2f")),
        cell(number("mlperf_fewest", one.fewest, ".2f")),
        Cell(one.why or one.test),
        cell(seconds("mlperf_seconds", one.seconds), " s"),
        cell(seconds("mlperf_normalized_s", one.normalized_s), " s") if one.normalized_s else Cell(NONE),
    )


def scores_as_json(scores: Sequence[MlperfScore]) -> list[dict[str, object]]:
    """The scores for programs."""
    return [asdict(score) for score in scores]
