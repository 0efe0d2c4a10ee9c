"""Who is who: the part that each strategy plays, and the specs of its runs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from kbench.analysis.audit.controls import role_in
from kbench.analysis.frame import Frames
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.html_report.effects import Who


class Part(StrEnum):
    """What a strategy is there for."""

    BASELINE = "baseline"
    CONTROL = "control"  # what needs no method
    METHOD = "method"
    DOWNSTREAM = "downstream"  # the baseline, from the weights of another pair


def specs(frames: Frames) -> dict[Who, RunSpec]:
    """The spec of the first run of each strategy on each pair; imported runs have none."""
    found: dict[Who, RunSpec] = {}
    if frames.folder is None:
        return found
    for pair, strategy, run_id in zip(*(frames.runs[name] for name in ("pair", "strategy", "run_id")), strict=True):
        if (pair, strategy) not in found:
            try:
                found[pair, strategy] = frames.folder.run(run_id).read_spec()
            except ResultsError:
                continue
    return found


def parts(rows: Sequence[Who], known: Mapping[Who, RunSpec]) -> dict[Who, Part]:
    """The part of each row: the role of its strategy, as in the audit, unless it began with another run's weights."""
    return {who: _part(who[1], known.get(who)) for who in rows}


def _part(label: str, spec: RunSpec | None) -> Part:
    if spec is not None and spec.upstream is not None:
        return Part.DOWNSTREAM
    return Part(role_in(spec, label))
