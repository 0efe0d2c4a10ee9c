"""Compare each strategy with its matched baseline: same pair, same seed, same everything else."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from kbench.analysis.across_pairs import across_pairs
from kbench.analysis.audit.audit import audit
from kbench.analysis.audit.disturbed import disturbed_findings
from kbench.analysis.claims import sample_findings
from kbench.analysis.controls import against_controls, control_findings
from kbench.analysis.curve import Curve, curves
from kbench.analysis.drift import drifts
from kbench.analysis.finding import gravest_first, note
from kbench.analysis.frame import Frames
from kbench.analysis.interval import Confidence
from kbench.analysis.looks import confidence_at, look_findings
from kbench.analysis.multiple_testing import adjust_p_values
from kbench.analysis.pairing import comparable_runs, pair_with
from kbench.analysis.roles import read_specs, roles
from kbench.analysis.rows import Comparison, build_row
from kbench.analysis.sampling import hit_findings, read_hits
from kbench.analysis.time_to_target import Target, TimeToTarget, parse_target, time_to_target
from kbench.analysis.transfer import Chain, recorded_chains, transfer
from kbench.errors import ResultsError
from kbench.records.looks import Look

NO_MARGINS: Mapping[str, float] = MappingProxyType({})


def compare(
    frames: Frames,
    *,
    baseline: str,
    targets: Sequence[float | str | Target],
    transfers: Sequence[Chain] = (),
    margins: Mapping[str, float] = NO_MARGINS,
    looks: Sequence[int] = (),
    earlier: Sequence[Look] = (),
) -> Comparison:
    """Compare every strategy with the baseline on the seeds that both have.

    Args:
        frames: The gathered results of an experiment.
        baseline: Label of the strategy to compare with.
        targets: Accuracies to reach [fraction], or multiples of the baseline's final error.
        transfers: Chains of an upstream pair and its downstream pairs.  Those on record are compared
            anyway, unless their upstream pair is named here.
        margins: Of the final accuracy that may be lost [fraction], by pair.
        looks: Numbers of seeds at which the experiment's file plans to look; they share the 5 %.
        earlier: Looks on record.

    Raises:
        ResultsError: No run of the baseline is done, or a chain's pair is not there.
    """
    _check_baseline(frames, baseline)
    parsed = [target if isinstance(target, Target) else parse_target(target) for target in targets]
    runs = comparable_runs(frames)
    drift_of_pair = drifts(runs)
    matched = pair_with(runs, baseline)
    hits = read_hits(frames)
    curve_of = {curve.run_id: curve for curve in curves(frames)}
    finals = _final_accuracies(frames, baseline)
    order = dict.fromkeys(zip(frames.done["pair"], frames.done["strategy"], strict=True))
    groups = dict(iter(matched.groupby(["pair", "strategy"], sort=False)))
    keys = [key for key in order if key in groups]
    confidences = {key: confidence_at(looks, len(groups[key])) for key in keys}
    rows = []
    for pair, strategy in keys:
        own, is_baseline, confidence = groups[pair, strategy], strategy == baseline, confidences[pair, strategy]
        final = finals.get(pair, ())
        row = build_row(
            own,
            _times_to_targets(own, curve_of, parsed, final, is_baseline=is_baseline, confidence=confidence),
            is_baseline=is_baseline,
            margin=margins.get(pair),
            confidence=confidence,
            n_rivals=sum(other == pair for other, _ in keys) - 1,
            drift=drift_of_pair.get(pair),
            hits=hits,
        )
        rows.append(row)
    rows = adjust_p_values(rows)
    specs = read_specs(frames)
    row_roles = roles(keys, specs)
    tests = against_controls(
        runs, row_roles, specs, baseline, margins=margins, confidences=confidences, drift_of_pair=drift_of_pair
    )
    named = {upstream for upstream, _ in transfers}
    chains = [*(chain for chain in recorded_chains(frames) if chain[0] not in named), *transfers]
    compared = [transfer(frames, upstream=up, downstream=down, baseline=baseline) for up, down in chains]
    more = [*control_findings(tests, row_roles, specs), *look_findings(matched, looks, earlier)]
    more += [*disturbed_findings(frames, rows), *hit_findings(hits), *sample_findings(rows)]
    across = across_pairs(matched, frames, curve_of, parsed, finals, baseline)
    more += [note("across", f"across pairs: {text}") for text in (across.left_out if across else ())]
    findings = audit(frames, baseline, rows, matched, drift_of_pair, more)
    findings = gravest_first([*findings, *(finding for _, about_chain in compared for finding in about_chain)])
    return Comparison(
        experiment=frames.name,
        baseline=baseline,
        rows=tuple(rows),
        warnings=tuple(finding.text for finding in findings),
        findings=tuple(findings),
        transfers=tuple(chain for chain, _ in compared),
        controls=tuple(tests),
        clock=frames.clock,
        disturbed=tuple(frames.disturbed.values()),
        keeps_disturbed=frames.keep_disturbed,
        across=across,
    )


def _check_baseline(frames: Frames, baseline: str) -> None:
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


def _final_accuracies(frames: Frames, baseline: str) -> Mapping[str, list[float]]:
    """The final accuracies of all runs of the baseline that are done, by pair."""
    base = frames.done[frames.done["strategy"] == baseline]
    return {str(pair): accuracies.astype(float).tolist() for pair, accuracies in base.groupby("pair")["final_acc1"]}


def _times_to_targets(
    runs: pd.DataFrame,
    curve_of: Mapping[str, Curve],
    targets: Sequence[Target],
    finals: Sequence[float],
    *,
    is_baseline: bool,
    confidence: Confidence,
) -> tuple[TimeToTarget, ...]:
    pairs = [(curve_of[a], curve_of[b]) for a, b in zip(runs["run_id"], runs["run_id_base"], strict=True)]
    return tuple(
        time_to_target(pairs, t.text, t.resolve(finals), is_baseline=is_baseline, rule=t.rule, confidence=confidence)
        for t in targets
    )
