"""What must be said about published tables: in sentences, from their cells and from logs."""

from collections.abc import Iterator, Sequence

import pandas as pd

from kbench.analysis.finding import Finding, note, warning
from kbench.analysis.frame import Frames
from kbench.papers.caveats import caveats, place
from kbench.papers.log_evidence import ACCURACIES, Judged


def doubts(frames: Frames, judged: Sequence[Judged]) -> Iterator[Finding]:
    """Contradicted cells and what follows from them, methods that hid nobody, misprints, caveats."""
    for one in judged:
        if one.verdict == "contradicted":
            yield warning("published", _contradiction(one))
            yield from _corrected(one, [other for other in judged if other.table is one.table])
    yield from _hid_nothing(frames)
    said = [caveat for one in judged for caveat in caveats(one.publication, one.table)]
    for text in dict.fromkeys([*said, *_named(judged)]):
        yield note("published", text)


def _contradiction(one: Judged) -> str:
    runs = [f"{log.strategy}'s run ({log.last:.{one.cell.digits}f})" for log in one.logs if log.last is not None]
    kind = "last accuracy" if one.table.quantity in ACCURACIES else one.table.quantity
    said = f"the printed {one.cell.strategy}, {one.cell.value}, is not the {kind} of {', nor of '.join(runs)}"
    equal = f", but equals that of {one.equal}'s run" if one.equal else ""
    return f"{place(one.publication, one.table)}: {said}{equal}"


def _corrected(one: Judged, row: Sequence[Judged]) -> Iterator[Finding]:
    """The differences of a table whose baseline is not the baseline run's, against what that run logged."""
    if one.cell is not one.table.baseline(one.cell.at) or one.table.quantity not in ACCURACIES:
        return
    base = next((log.last for log in one.logs if log.strategy == one.cell.strategy and not log.short), None)
    if base is None:
        return
    digits, told = one.cell.digits, []
    for other in row:
        if other.cell is not one.cell and other.cell.at == one.cell.at:
            printed = f", not {other.cell.diff}" if other.cell.diff else ""
            source = "" if other.verdict == "supported" else " (from its printed value)"
            told.append(f"{other.cell.strategy}'s is {other.value - base:+.{digits}f}{printed}{source}")
    if told:
        yield warning(
            "published",
            f"{place(one.publication, one.table)}: with the baseline run's {base:.{digits}f} the differences change: "
            f"{'; '.join(told)}",
        )


def _hid_nothing(frames: Frames) -> Iterator[Finding]:
    """Imported methods whose logs say that they hid nobody, in no epoch."""
    theirs = frames.runs[frames.runs["imported_from"].notna() & (frames.runs["hidden_mean"] == 0)]
    for _, run in theirs[~theirs["strategy"].astype(str).str.startswith("baseline")].iterrows():
        told = int(frames.epochs[frames.epochs["run_id"] == run["run_id"]]["n_hidden"].notna().sum())
        spent = run["total_train_s"]
        time = "" if pd.isna(spent) else f"; it took {spent / 60:.0f} minutes"
        yield warning(
            "published",
            f"{run['pair']} / {run['strategy']}: by its log it hid nothing ({told} of {run['epochs_done']:.0f} epochs "
            f"tell), and trained as a baseline does{time}",
        )


def _named(judged: Sequence[Judged]) -> Iterator[str]:
    """How the runs are known to be what they are taken for, where their names do not tell."""
    for one in judged:
        for known in one.publication.logs:
            if known.about and known.strategy in [log.strategy for log in one.logs]:
                yield f"{one.publication.id}: the log of {known.strategy}: {known.about}"
