"""Runs that are not in the tables, and why."""

from collections.abc import Iterator

import pandas as pd

from kbench.analysis.finding import About, Finding, about, note, warning
from kbench.analysis.frame import Frames, fill_unknown
from kbench.analysis.pairing import KEYS
from kbench.errors import ResultsError
from kbench.records.run_state import State

INSTRUMENTS = ("spin", "pairing")  # columns that are part of the key
LISTED = 3  # runs named of many alike
GRAVE = (State.FAILED, State.DAMAGED)  # states that somebody must look into


def missing(frames: Frames, baseline: str) -> Iterator[Finding]:
    """Name the runs that did not end well, those without a match, and those that are there twice."""
    yield from _not_done(frames.runs[frames.runs["state"] != "done"])
    done = frames.done
    base = done[done["strategy"] == baseline]
    unmatched = done[~pd.MultiIndex.from_frame(done[KEYS]).isin(pd.MultiIndex.from_frame(base[KEYS].dropna()))]
    for (pair, strategy), own in unmatched.groupby(["pair", "strategy"], sort=False):
        text = f"{pair} / {strategy}: {_why_unmatched(frames, own, done, base, baseline)}; left out"
        yield warning("unmatched", text, about(pair, strategy))
    twice = done[done.duplicated(["pair", "strategy", "match_key"]) & done["match_key"].notna()]
    for (pair, strategy), own in twice.groupby(["pair", "strategy"], sort=False):
        text = f"{pair} / {strategy}: seeds {_seeds(own)} are there twice; the first of each counts"
        yield warning("twice", text, about(pair, strategy))


def _not_done(runs: pd.DataFrame) -> Iterator[Finding]:
    """Runs in any other state, those of the same state and error together."""
    for (state, error), own in runs.assign(error=fill_unknown(runs["error"], "")).groupby(
        ["state", "error"], sort=False
    ):
        names = own["run_id"].tolist()
        why = f": {error}" if error else ""
        rows = [About(*row) for row in dict.fromkeys(zip(own["pair"], own["strategy"], strict=True))]
        finding = warning if state in GRAVE else note
        if len(names) == 1:
            yield finding(str(state), f"{names[0]} is {state}{why}; not in the table", rows)
        else:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            listed = f"{', '.join(names[:LISTED])}{more}"
            yield finding(str(state), f"{len(names)} runs are {state}{why}; not in the table: {listed}", rows)


def _why_unmatched(frames: Frames, own: pd.DataFrame, done: pd.DataFrame, base: pd.DataFrame, baseline: str) -> str:
    """What ``own``, runs of one strategy on one pair that nothing matches, have against the baseline's."""
    pair, strategy = own["pair"].iloc[0], own["strategy"].iloc[0]
    near = own.merge(base[base["pair"] == pair], on="seed", suffixes=("", "_base"))
    difference = _difference(frames, near) if len(near) else ""
    n_runs = len(done[(done["pair"] == pair) & (done["strategy"] == strategy)])
    text = f"no matched run of {baseline}" if n_runs == len(own) else f"seeds {_seeds(own)} have no matched {baseline}"
    return f"{text} ({difference})" if difference else text


def _difference(frames: Frames, near: pd.DataFrame) -> str:
    """The first instrument, or key of its spec, in which a run differs from the baseline's run of the same seed."""
    for column in INSTRUMENTS:
        one, other = (fill_unknown(near[name], "unknown").iloc[0] for name in (column, f"{column}_base"))
        if one != other and (column == "spin" or "turns" in (one, other)):
            return f"{column} is {one}, the baseline's {other}: their times are not matched"
    if frames.folder is None:
        return ""
    try:
        own, base = (frames.folder.run(near[name].iloc[0]).read_spec().content for name in ("run_id", "run_id_base"))
    except ResultsError:
        return ""
    own, base = _flat(own), _flat(base)
    for key in dict.fromkeys([*own, *base]):
        if not key.startswith("strategy") and own.get(key) != base.get(key):
            return f"{key.removeprefix('pair.')} is {own.get(key)!r}, the baseline's {base.get(key)!r}"
    return ""


def _flat(content: object, key: str = "") -> dict[str, object]:
    if not isinstance(content, dict):
        return {key: content}
    return {k: v for name, part in content.items() for k, v in _flat(part, f"{key}.{name}".lstrip(".")).items()}


def _seeds(runs: pd.DataFrame) -> list[int]:
    return sorted({int(seed) for seed in runs["seed"].dropna()})
