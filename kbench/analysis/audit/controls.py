"""Whether a method beat its controls: strategies that know nothing of the samples."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.frame import Frames
from kbench.analysis.interval import estimate, estimate_change
from kbench.analysis.rows import Row
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Role
from kbench.errors import ResultsError
from kbench.records.schema import noun
from kbench.strategies import role_of

RANDOM_HIDING = "random"  # the control that leaves out as many samples, but any


def controls(frames: Frames, baseline: str, rows: Sequence[Row], matched: pd.DataFrame) -> Iterator[Finding]:
    """Compare every method with the controls of its pair, on the seeds that both have."""
    identities = _identities(frames, [row.strategy for row in rows])
    metrics = {row.pair: row.metric for row in rows}
    for pair in dict.fromkeys(row.pair for row in rows):
        there = [row.strategy for row in rows if row.pair == pair]
        others = [strategy for strategy in there if strategy != baseline]
        methods = [strategy for strategy in others if identities[strategy].role == "method"]
        if methods and not any(identities[strategy].name == RANDOM_HIDING for strategy in there):
            yield note(
                "control",
                f"{pair}: no run hides at random; whether {', '.join(methods)} do better is not known",
                about(pair, *methods),
            )
        own = {strategy: runs for strategy, runs in matched[matched["pair"] == pair].groupby("strategy")}
        for control in (strategy for strategy in others if identities[strategy].role == "control"):
            differences = {method: _against(method, own[method], own[control]) for method in methods}
            if no_better := {method: text for method, text in differences.items() if text}:
                yield warning(
                    "control",
                    f"{pair}: did not beat {control} ({noun(metrics[pair])} not better, time not less): "
                    f"{', '.join(no_better.values())}",
                    about(pair, *no_better),
                )


def role_in(spec: RunSpec | None, label: str) -> Role:
    """The role of a run's strategy, as its spec recorded it when the run was submitted.

    Where none was recorded (an older kbench) the class of that name has it; an imported run has no spec, and its
    label is taken for its strategy's name.  A name that is not known here is a method's.
    """
    if spec is None:
        return role_of(label)
    return spec.strategy.role or role_of(spec.strategy.name)


class _Identity(NamedTuple):
    name: str
    role: Role


def _identities(frames: Frames, strategies: Sequence[str]) -> Mapping[str, _Identity]:
    """For each label the strategy's name and role, from the spec of a run that began with fresh weights."""
    fresh = frames.done[frames.done["upstream"].isna()]  # the others train like the baseline
    first = fresh.drop_duplicates("strategy").set_index("strategy")["run_id"]
    found = {}
    for label in dict.fromkeys(strategies):
        spec = _spec(frames, str(first[label]))
        found[label] = _Identity(spec.strategy.name if spec else label, role_in(spec, label))
    return found


def _spec(frames: Frames, run_id: str) -> RunSpec | None:
    """A run's spec; None where it has none that can be read, as imported runs."""
    try:
        return None if frames.folder is None else frames.folder.run(run_id).read_spec()
    except ResultsError:
        return None


def _against(method: str, own: pd.DataFrame, control: pd.DataFrame) -> str:
    """The method's differences from the control where neither accuracy nor time is better, else nothing."""
    columns = ["match_key", "best_acc1", "total_train_s"]
    pairs = own[columns].merge(control[columns], on="match_key", suffixes=("", "_control"))
    accuracy = estimate((pairs["best_acc1"] - pairs["best_acc1_control"]).tolist()).mean
    time = estimate_change((pairs["total_train_s"] / pairs["total_train_s_control"]).tolist()).mean
    if accuracy is None or time is None or accuracy > 0 or time < 0:
        return ""
    return f"{method} ({100 * accuracy:+.2f} points, {100 * time:+.1f} % time)"
