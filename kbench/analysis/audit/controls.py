"""Whether a method did better than what needs no method."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from kbench.analysis.finding import Finding, note, on, warning
from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate, estimate_change
from kbench.analysis.rows import Row
from kbench.errors import ResultsError
from kbench.records.schema import noun

CONTROLS = ("random", "budget")  # hides as many, but anybody; trains on all, but stops earlier


def controls(frames: Frames, baseline: str, rows: Sequence[Row], both: pd.DataFrame) -> Iterator[Finding]:
    """Compare every method with the controls of its pair, on the seeds that both have."""
    kinds = _kinds(frames, [row.strategy for row in rows])
    metrics = {row.pair: row.metric for row in rows}
    for pair in dict.fromkeys(row.pair for row in rows):
        there = [row.strategy for row in rows if row.pair == pair]
        others = [strategy for strategy in there if strategy != baseline]
        methods = [strategy for strategy in others if kinds[strategy] == "method"]
        if methods and not any(kinds[strategy] == "random" for strategy in there):
            yield note(
                "control",
                f"{pair}: no run hides at random; whether {', '.join(methods)} do better is not known",
                on(pair, *methods),
            )
        own = {strategy: runs for strategy, runs in both[both["pair"] == pair].groupby("strategy")}
        for control in (strategy for strategy in others if kinds[strategy] in CONTROLS):
            beaten = {method: _beside(method, own[method], own[control]) for method in methods}
            if told := {method: text for method, text in beaten.items() if text}:
                yield warning(
                    "control",
                    f"{pair}: did not beat {control} ({noun(metrics[pair])} not better, time not less): "
                    f"{', '.join(told.values())}",
                    on(pair, *told),
                )


def _kinds(frames: Frames, strategies: Sequence[str]) -> Mapping[str, str]:
    """For each label: random, budget, baseline or method; its spec or the label itself tells."""
    fresh = frames.done[frames.done["upstream"].isna()]  # the others train like the baseline
    first = fresh.drop_duplicates("strategy").set_index("strategy")["run_id"]
    found = {}
    for strategy in dict.fromkeys(strategies):
        found[strategy] = kind_of([strategy, _name(frames, str(first[strategy]))])
    return found


def kind_of(names: Sequence[str]) -> str:
    """random, budget, baseline or method, by the beginnings of a strategy's label and name."""
    known = [kind for kind in (*CONTROLS, "baseline") if any(name.startswith(kind) for name in names)]
    return next(iter(known), "method")


def _name(frames: Frames, run_id: str) -> str:
    """The name of a run's strategy, whatever its label; empty where no spec tells."""
    try:
        return "" if frames.folder is None else frames.folder.run(run_id).read_spec().strategy.name
    except ResultsError:
        return ""


def _beside(method: str, own: pd.DataFrame, control: pd.DataFrame) -> str:
    """The method's differences from the control if it has nothing for itself, else nothing."""
    columns = ["match_key", "best_acc1", "total_train_s"]
    pairs = own[columns].merge(control[columns], on="match_key", suffixes=("", "_control"))
    accuracy = estimate((pairs["best_acc1"] - pairs["best_acc1_control"]).tolist()).mean
    time = estimate_change((pairs["total_train_s"] / pairs["total_train_s_control"]).tolist()).mean
    if accuracy is None or time is None or accuracy > 0 or time < 0:
        return ""
    return f"{method} ({100 * accuracy:+.2f} points, {100 * time:+.1f} % time)"
