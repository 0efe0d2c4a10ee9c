"""Across pairs: what strategies do on three or more pairs together, and what had to be left out of that.

Time and accuracy are taken relative to the baseline's run of the same seed, so that pairs can be put together: time
as a ratio, accuracy as the change of the final error over the baseline's mean final error on that pair, as points near
75 % and near 99 % are not alike.  The methods are in ``aggregates`` and ``performance_profile``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kbench.analysis.aggregates import (
    Strata,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
)
from kbench.analysis.curve import Curve
from kbench.analysis.frame import Frames
from kbench.analysis.interval import Bounds
from kbench.analysis.pairing import timed
from kbench.analysis.performance_profile import MOST, performance_ratios, profile_score
from kbench.analysis.time_to_target import Target, first_times, parse_target

MIN_PAIRS = 3
DEFAULT_TARGET = "final*1.1"  # where none is named: a tenth more error than the baseline ends with


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How near a strategy is to the fastest one on each pair, and AlgoPerf's score of that."""

    requested: str  # the target
    ratios: Mapping[str, float | None]  # of the time to it, by pair; None: not reached
    n_solved: int  # pairs with a ratio of ``MOST`` or less
    score: float


@dataclass(frozen=True, kw_only=True)
class AcrossRow:
    """One strategy over all pairs; None where it cannot be known, and for the baseline beside itself."""

    strategy: str
    time_iqm: float | None = None  # change of training time [fraction], interquartile mean
    time_iqm_ci: Bounds = None
    error_iqm: float | None = None  # change of the final error, as a fraction of the baseline's
    error_iqm_ci: Bounds = None
    faster: float | None = None  # probability that a run of it takes less training time than one of the baseline
    faster_ci: Bounds = None
    better: float | None = None  # that it ends with a higher accuracy
    better_ci: Bounds = None
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AcrossPairs:
    """The strategies of an experiment over its pairs."""

    pairs: tuple[str, ...]
    rows: tuple[AcrossRow, ...]
    left_out: tuple[str, ...]  # sentences: pairs, strategies and runs that are not in the rows, or not in some of them


def across_pairs(
    matched: pd.DataFrame,
    frames: Frames,
    curve_of: Mapping[str, Curve],
    targets: Sequence[Target],
    finals: Mapping[str, Sequence[float]],
    baseline: str,
) -> AcrossPairs | None:
    """Put the pairs of an experiment together.

    Args:
        matched: What ``pairing.pair_with`` gave.
        frames: The gathered results.
        curve_of: The curve of each run, by its id.
        targets: Accuracies to reach; without any, ``DEFAULT_TARGET``.
        finals: Final accuracies of the baseline's runs, by pair.
        baseline: The strategy to compare with.

    Returns:
        None where there are fewer than ``MIN_PAIRS`` pairs.
    """
    pairs = [str(pair) for pair in dict.fromkeys(matched["pair"])]
    if len(pairs) < MIN_PAIRS:
        return None
    downstream = [pair for pair in pairs if matched.loc[matched["pair"] == pair, "upstream"].notna().any()]
    left_out = [f"{pair} begins with the weights of another pair, and all train alike there" for pair in downstream]
    pairs = [pair for pair in pairs if pair not in downstream]
    found = _Table(matched, tuple(pairs), baseline)
    strategies, why = _strategies(found, frames)
    left_out += why
    if len(pairs) < MIN_PAIRS or len(strategies) < 2:
        return AcrossPairs(pairs=tuple(pairs), rows=(), left_out=tuple(left_out))
    rows = {name: AcrossRow(strategy=name) for name in strategies}
    for name in strategies:
        if name != baseline and all(len(found.runs(pair, name)) for pair in pairs):
            rows[name], why = _aggregated(rows[name], found, finals)
            left_out += [text for text in why if text not in left_out]
    for target in targets or [parse_target(DEFAULT_TARGET)]:
        profiles, why = _profiles(target, found, strategies, curve_of, finals)
        left_out += [text for text in why if text not in left_out]
        for name, profile in profiles.items():
            rows[name] = replace(rows[name], profiles=(*rows[name].profiles, profile))
    return AcrossPairs(pairs=tuple(pairs), rows=tuple(rows.values()), left_out=tuple(left_out))


class _Table:
    """The matched runs of the pairs that are put together."""

    def __init__(self, matched: pd.DataFrame, pairs: tuple[str, ...], baseline: str) -> None:
        self.pairs, self.baseline = pairs, baseline
        here = matched[matched["pair"].isin(pairs)]
        self.strategies = [str(name) for name in dict.fromkeys(here["strategy"])]
        self._groups = {(str(p), str(s)): own for (p, s), own in here.groupby(["pair", "strategy"], sort=False)}
        self._empty = here.iloc[:0]

    def runs(self, pair: str, strategy: str) -> pd.DataFrame:
        """The runs of a strategy on a pair, each with its baseline's."""
        return self._groups.get((pair, strategy), self._empty)


def _strategies(found: _Table, frames: Frames) -> tuple[list[str], list[str]]:
    """The strategies that are on all pairs; one whose runs failed on a pair is, as it did not reach anything there."""
    failed = frames.runs[frames.runs["state"] == "failed"]
    crashed = set(zip(failed["pair"].astype(str), failed["strategy"].astype(str), strict=True))
    known, left_out = [], []
    for name in found.strategies:
        lacking = [pair for pair in found.pairs if found.runs(pair, name).empty]
        absent = [pair for pair in lacking if (pair, name) not in crashed]
        if absent:
            left_out.append(f"{name} has no matched run that is done on {', '.join(absent)}")
            continue
        known.append(name)
        if lacking:
            left_out.append(
                f"{name}: all its runs failed on {', '.join(lacking)}; in profiles that is not reached, the other "
                "columns lack it"
            )
    return known, left_out


def _aggregated(row: AcrossRow, found: _Table, finals: Mapping[str, Sequence[float]]) -> tuple[AcrossRow, list[str]]:
    """The row with its interquartile means and probabilities, and what they are without."""
    left_out: list[str] = []
    runs = {pair: found.runs(pair, row.strategy) for pair in found.pairs}
    quiet = {pair: timed(own) for pair, own in runs.items()}
    times = {p: own[["total_train_s", "total_train_s_base"]].to_numpy(float) for p, own in quiet.items()}
    times = {pair: seconds[(seconds > 0).all(axis=1)] for pair, seconds in times.items()}
    if all(len(seconds) for seconds in times.values()):
        logs = [np.log(seconds[:, 0] / seconds[:, 1]) for seconds in times.values()]
        ci = interquartile_interval(logs)
        own, base = [-s[:, 0] for s in times.values()], [-s[:, 1] for s in times.values()]
        row = replace(
            row,
            time_iqm=math.expm1(_iqm(logs)),
            time_iqm_ci=None if ci is None else (math.expm1(ci[0]), math.expm1(ci[1])),
            faster=_improvement(own, base),
            faster_ci=improvement_interval(own, base),
        )
    else:
        lacking = [pair for pair, seconds in times.items() if not len(seconds)]
        left_out.append(f"{row.strategy}: no time counts on {', '.join(lacking)}, so it has none over all pairs")
    ends = {pair: own[["final_acc1", "final_acc1_base"]].dropna().to_numpy(float) for pair, own in runs.items()}
    if not all(len(accuracies) for accuracies in ends.values()):
        lacking = [pair for pair, accuracies in ends.items() if not len(accuracies)]
        left_out.append(f"{row.strategy}: no final accuracy is known on {', '.join(lacking)}, so it has none over all")
        return row, left_out
    row = replace(
        row,
        better=_improvement([a[:, 0] for a in ends.values()], [a[:, 1] for a in ends.values()]),
        better_ci=improvement_interval([a[:, 0] for a in ends.values()], [a[:, 1] for a in ends.values()]),
    )
    error = {pair: 1 - float(np.mean(finals[pair])) for pair in found.pairs}
    perfect = [pair for pair in found.pairs if not error[pair] > 0]
    if perfect:
        left_out.append(
            f"the baseline ends without error on {', '.join(perfect)}: no change of the error over all pairs"
        )
        return row, left_out
    changes = [(accuracies[:, 1] - accuracies[:, 0]) / error[pair] for pair, accuracies in ends.items()]
    return replace(row, error_iqm=_iqm(changes), error_iqm_ci=interquartile_interval(changes)), left_out


def _iqm(strata: Strata) -> float:
    return float(interquartile_mean(np.concatenate(strata)))


def _improvement(own: Strata, other: Strata) -> float:
    return float(np.mean([probability_of_improvement(a, b) for a, b in zip(own, other, strict=True)]))


def _profiles(
    target: Target,
    found: _Table,
    strategies: Sequence[str],
    curve_of: Mapping[str, Curve],
    finals: Mapping[str, Sequence[float]],
) -> tuple[dict[str, Profile], list[str]]:
    """The profile of each strategy for a target, over the pairs of which all times are known."""
    left_out: list[str] = []
    times: dict[str, np.ndarray] = {}  # by pair: (strategies, seeds)
    for pair in found.pairs:
        accuracy = target.resolve(finals.get(pair, ()))
        own = {name: _times(found.runs(pair, name), curve_of, target, accuracy) for name in strategies}
        seeds = set.intersection(*(set(one) for one in own.values() if one is not None), *[set()] * (accuracy is None))
        if not seeds:
            left_out.append(f"{pair} is in no profile for {target.text}: no seed has the time to it of all strategies")
            continue
        n_more = len(set().union(*(one for one in own.values() if one is not None)) - seeds)
        if n_more:
            left_out.append(f"{pair}: {n_more} seeds that not all strategies have a time of are in no profile")
        ordered = sorted(seeds)
        times[pair] = np.array(
            [[math.inf] * len(seeds) if one is None else [one[seed] for seed in ordered] for one in own.values()]
        )
    if len(times) < MIN_PAIRS:
        return {}, [*left_out, f"{target.text}: no profile, as fewer than {MIN_PAIRS} pairs have it"]
    ratios = np.stack([performance_ratios(own) for own in times.values()], axis=-1)
    unreached = [pair for pair, own in zip(times, ratios.T, strict=True) if not np.isfinite(own).any()]
    if unreached:
        left_out.append(f"{target.text} is reached by no strategy on {', '.join(unreached)}, which counts against all")
    return {
        name: Profile(
            requested=target.text,
            ratios={p: float(r) if math.isfinite(r) else None for p, r in zip(times, ratios[place], strict=True)},
            n_solved=int((ratios[place] <= MOST).sum()),
            score=float(profile_score(ratios[place])),
        )
        for place, name in enumerate(strategies)
    }, left_out


def _times(
    runs: pd.DataFrame, curve_of: Mapping[str, Curve], target: Target, accuracy: float | None
) -> dict[str, float] | None:
    """The time to a target [s] of each matched run whose time is known, infinite if not reached; None: no run."""
    if runs.empty or accuracy is None:
        return None
    return dict(_known_times(runs, curve_of, target, accuracy))


def _known_times(
    runs: pd.DataFrame, curve_of: Mapping[str, Curve], target: Target, accuracy: float
) -> Iterator[tuple[str, float]]:
    for key, run_id, base_id in zip(runs["match_key"], runs["run_id"], runs["run_id_base"], strict=True):
        curve, base = curve_of[run_id], curve_of[base_id]
        if not curve.is_timed or not base.is_timed or np.isnan(curve.accuracy).all():
            continue
        seconds = first_times([(curve, base)], accuracy, target.rule)[0][0]
        if seconds is None or not math.isnan(seconds):
            yield str(key), math.inf if seconds is None else seconds
