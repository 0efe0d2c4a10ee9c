"""Each strategy against its matched baseline: same pair, same seed, same everything else."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kbench.analysis.audit.audit import audit
from kbench.analysis.curve import Curve, curves
from kbench.analysis.frame import Frames
from kbench.analysis.multiple_testing import adjusted
from kbench.analysis.pairing import paired
from kbench.analysis.rows import Comparison, Reach, row_of
from kbench.analysis.time_to_target import Target, reach, target_of
from kbench.analysis.transfer import recorded, transfer
from kbench.errors import ResultsError


def compare(
    frames: Frames,
    *,
    baseline: str,
    targets: Sequence[float | Target],
    transfers: Sequence[tuple[str, Sequence[str]]] = (),
) -> Comparison:
    """Compare every strategy with ``baseline`` on the seeds that both have.

    ``transfers`` names chains: an upstream pair and its downstream pairs.  Those on record are
    compared anyway, unless their upstream pair is named there.
    Raises ResultsError when no baseline run is done, or a chain's pair is not there.
    """
    _check(frames, baseline)
    wanted = [target if isinstance(target, Target) else target_of(target) for target in targets]
    both = paired(frames, baseline)
    every = {curve.run_id: curve for curve in curves(frames)}
    finals = _finals(frames, baseline)
    rows = []
    order = dict.fromkeys(zip(frames.done["pair"], frames.done["strategy"], strict=True))
    groups = dict(iter(both.groupby(["pair", "strategy"], sort=False)))
    for pair, strategy in (key for key in order if key in groups):
        own = groups[pair, strategy]
        reaches = _reaches(own, every, wanted, finals.get(pair, ()), is_baseline=strategy == baseline)
        rows.append(row_of(own, reaches, is_baseline=strategy == baseline))
    rows = adjusted(rows)
    findings = audit(frames, baseline, rows, both)
    named = {upstream for upstream, _ in transfers}
    every_chain = [*(chain for chain in recorded(frames) if chain[0] not in named), *transfers]
    chains = [transfer(frames, upstream=up, downstream=down, baseline=baseline) for up, down in every_chain]
    findings = sorted([*findings, *(one for _, told in chains for one in told)], key=lambda f: f.severity != "warning")
    return Comparison(
        experiment=frames.name,
        baseline=baseline,
        rows=tuple(rows),
        warnings=tuple(finding.text for finding in findings),
        findings=tuple(findings),
        transfers=tuple(chain for chain, _ in chains),
    )


def _check(frames: Frames, baseline: str) -> None:
    done = frames.done
    if done.empty:
        states = ", ".join(f"{n} {state}" for state, n in frames.runs["state"].value_counts().items())
        raise ResultsError(f"{frames.name}: no run is done yet ({states})", hint="kbench status tells where they stand")
    if baseline not in set(done["strategy"]):
        there = ", ".join(sorted(set(done["strategy"])))
        raise ResultsError(
            f"{frames.name}: no run of the baseline {baseline!r} is done; done are {there}",
            hint="run it, or name another with --baseline",
        )


def _finals(frames: Frames, baseline: str) -> Mapping[str, list[float]]:
    """The final accuracies of all runs of the baseline that are done, by pair."""
    base = frames.done[frames.done["strategy"] == baseline]
    return {str(pair): own.astype(float).tolist() for pair, own in base.groupby("pair")["final_acc1"]}


def _reaches(
    own: pd.DataFrame,
    every: Mapping[str, Curve],
    targets: Sequence[Target],
    finals: Sequence[float],
    *,
    is_baseline: bool,
) -> tuple[Reach, ...]:
    pairs = [(every[a], every[b]) for a, b in zip(own["run_id"], own["run_id_base"], strict=True)]
    return tuple(reach(pairs, t.asked, t.on(finals), is_baseline=is_baseline) for t in targets)
