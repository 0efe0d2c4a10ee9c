"""The role that each strategy plays on a pair: baseline, control, method, or downstream of another pair."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from kbench.analysis.frame import Frames
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Role
from kbench.errors import ResultsError
from kbench.strategies import role_of

RowKey = tuple[str, str]  # pair and strategy


class RowRole(StrEnum):
    """What a strategy is there for on a pair."""

    BASELINE = "baseline"
    CONTROL = "control"  # what needs no method
    METHOD = "method"
    DOWNSTREAM = "downstream"  # the baseline, from the weights of another pair


def read_specs(frames: Frames) -> dict[RowKey, RunSpec]:
    """Read the spec of the first run of each strategy on each pair; imported runs have none."""
    found: dict[RowKey, RunSpec] = {}
    if frames.folder is None:
        return found
    for pair, strategy, run_id in zip(*(frames.runs[name] for name in ("pair", "strategy", "run_id")), strict=True):
        if (pair, strategy) not in found:
            try:
                found[pair, strategy] = frames.folder.run(run_id).read_spec()
            except ResultsError:
                continue
    return found


def roles(rows: Sequence[RowKey], specs: Mapping[RowKey, RunSpec]) -> dict[RowKey, RowRole]:
    """The role of each row: that of its strategy, unless it began with another run's weights."""
    return {row: _role(row[1], specs.get(row)) for row in rows}


def _role(label: str, spec: RunSpec | None) -> RowRole:
    if spec is not None and spec.upstream is not None:
        return RowRole.DOWNSTREAM
    return RowRole(role_in(spec, label))


def role_in(spec: RunSpec | None, label: str) -> Role:
    """The role of a run's strategy, as its spec recorded it when the run was submitted.

    Where none was recorded (an older kbench) the class of that name has it; an imported run has no spec, and its
    label is taken for its strategy's name.  A name that is not known here is a method's.
    """
    if spec is None:
        return role_of(label)
    return spec.strategy.role or role_of(spec.strategy.name)
