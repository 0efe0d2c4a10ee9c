"""Methods against their controls: the strategies that know nothing of the samples, and that a method must beat."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import pandas as pd

from kbench.analysis.drift import Drift
from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.interval import Bounds, Confidence
from kbench.analysis.multiple_testing import ALPHA, adjust_p_values
from kbench.analysis.pairing import pair_with
from kbench.analysis.roles import RowKey, RowRole
from kbench.analysis.rows import AgainstControl, ControlVerdict, Row, build_row
from kbench.config.run_spec import RunSpec

RANDOM_HIDING = "random"  # the control that leaves out as many samples, but any
EQUAL_TIME = "budget"  # the control that has the time of the strategy that it is ``like``
TIME_MARGIN = 0.05  # [fraction] of the time of a control that a method may take more and still be as fast
RESULTS = {
    ControlVerdict.MIXED: "better in one, worse in the other",
    ControlVerdict.WORSE: "shown to be worse",
    ControlVerdict.EQUAL: "shown to be no different",
    ControlVerdict.OPEN: "not shown to be better",
    ControlVerdict.UNKNOWN: "no interval",
}


def against_controls(
    runs: pd.DataFrame,
    roles: Mapping[RowKey, RowRole],
    specs: Mapping[RowKey, RunSpec],
    baseline: str,
    *,
    margins: Mapping[str, float],
    confidences: Mapping[RowKey, Confidence],
    drift_of_pair: Mapping[str, Drift],
) -> list[AgainstControl]:
    """Compare every method with every control of its pair, on the seeds that both have.

    Args:
        runs: What ``pairing.comparable_runs`` gave.
        roles: Of each strategy on each pair that is compared.
        specs: Of those that have one.
        baseline: The strategy that all are compared with anyway.
        margins: Of the accuracy that may be lost [fraction], by pair.
        confidences: The error rates of this look, by row.
        drift_of_pair: What ``drift.drifts`` gave; a control that copies a method always comes after it.
    """
    found = []
    controls = [key for key, role in roles.items() if role is RowRole.CONTROL and key[1] != baseline]
    for pair, control in controls:
        matched = pair_with(runs[runs["pair"] == pair], control)
        groups = [(str(key), own) for key, own in matched.groupby("strategy", sort=False) if key != control]
        rows = [
            build_row(
                own,
                (),
                is_baseline=False,
                margin=margins.get(pair),
                confidence=confidences.get((pair, strategy), Confidence()),
                n_rivals=len(groups),
                drift=drift_of_pair.get(pair),
            )
            for strategy, own in groups
        ]
        for row in adjust_p_values(rows):
            if roles.get((pair, row.strategy)) is RowRole.METHOD:
                equal_time = _has_equal_time(specs.get((pair, control)), row.strategy)
                verdict = judge(row, equal_time=equal_time)
                found.append(AgainstControl(row, control, equal_time, verdict, len(rows)))
    order = list(roles)
    return sorted(found, key=lambda one: order.index((one.row.pair, one.row.strategy)))


def _has_equal_time(control: RunSpec | None, method: str) -> bool:
    """Whether a control was given just the time that the method took."""
    return control is not None and control.strategy.name == EQUAL_TIME and control.strategy.like == method


def judge(row: Row, *, equal_time: bool = False) -> ControlVerdict:
    """What is shown of a method whose ``row`` compares it with a control.

    It beats the control where it is shown better in accuracy or time, beyond chance among several strategies, and as
    good in the other: it loses less than the margin of accuracy, or takes less than ``TIME_MARGIN`` more time, by
    one-sided bounds of 95 %.  With equal time, accuracy alone counts; without a margin, as good takes better.
    """
    accuracy = _sign(row.acc_final_diff_ci, row.acc_final_diff_p_holm)
    time = 0 if equal_time else _sign(row.time_diff_ci, row.time_diff_p_holm)
    if accuracy is None or time is None:
        return ControlVerdict.UNKNOWN
    better, worse = accuracy > 0 or time < 0, accuracy < 0 or time > 0
    if better and worse:
        return ControlVerdict.MIXED
    is_as_good = row.margin is not None and row.loses_at_most is not None and row.loses_at_most < row.margin
    is_as_fast = equal_time or (row.saves_at_least is not None and row.saves_at_least > -TIME_MARGIN)
    if better and (accuracy > 0 or is_as_good) and (time < 0 or is_as_fast):
        return ControlVerdict.BEATS
    if worse:
        return ControlVerdict.WORSE
    has_same_time = equal_time or (is_as_fast and row.saves_at_most is not None and row.saves_at_most < TIME_MARGIN)
    return ControlVerdict.EQUAL if row.equivalent and has_same_time and not better else ControlVerdict.OPEN


def _sign(ci: Bounds, p_adjusted: float | None) -> int | None:
    """Which way a difference is shown to go: -1, 1, or 0 where that is open; None without an interval."""
    if ci is None or p_adjusted is None:
        return None
    if ci[0] <= 0 <= ci[1] or p_adjusted >= ALPHA:
        return 0
    return 1 if ci[0] > 0 else -1


def control_findings(
    tests: Sequence[AgainstControl],
    roles: Mapping[RowKey, RowRole],
    specs: Mapping[RowKey, RunSpec],
) -> Iterator[Finding]:
    """What the audit says of methods and controls, from the same verdicts as the report."""
    for pair in dict.fromkeys(pair for pair, _ in roles):
        there = [strategy for of, strategy in roles if of == pair]
        methods = [strategy for strategy in there if roles[pair, strategy] is RowRole.METHOD]
        if methods and not any(_name(specs, pair, strategy) == RANDOM_HIDING for strategy in there):
            text = f"{pair}: no run hides at random; whether {', '.join(methods)} do better is not known"
            yield note("control", text, about(pair, *methods))
    by_control = sorted(tests, key=lambda one: (one.row.pair, one.control, str(one.verdict)))
    for (pair, control, verdict), group in groupby(by_control, key=lambda o: (o.row.pair, o.control, o.verdict)):
        if verdict is ControlVerdict.BEATS:
            continue
        names = [one.row.strategy for one in group]
        text = f"{pair}: {', '.join(names)}: not shown to beat {control} ({RESULTS[verdict]})"
        shown_not_to = verdict in (ControlVerdict.WORSE, ControlVerdict.EQUAL)
        yield (warning if shown_not_to else note)("control", text, about(pair, *names))


def _name(specs: Mapping[RowKey, RunSpec], pair: str, label: str) -> str:
    spec = specs.get((pair, label))
    return spec.strategy.name if spec else label
