"""Whether the runs of a pair were made under the same conditions: machine, code, data, random draws."""

from collections.abc import Iterable, Iterator

import pandas as pd

from kbench.analysis.finding import Finding, about, note, warning
from kbench.analysis.frame import Frames, fill_unknown
from kbench.analysis.pairing import KEYS

MEASURED = "kbench"
SHORT = 10  # characters of a commit
TIMES = "their times are not matched"
CONDITIONS = {  # column: what a difference spoils
    "device_name": TIMES,
    "n_devices": TIMES,
    "hosts": TIMES,
    "torch_version": TIMES,
    "threads_per_rank": TIMES,
    "ranks": TIMES,
    "launcher": TIMES,
    "max_parallel": TIMES,
    "dataset_identity": "they were not trained on the same data: neither times nor accuracies are matched",
    "commit": "kbench's source changed in between",
    "imported_from": "different instruments measured them: neither times nor accuracies are matched",
}
DIGESTS = {
    "weights_digest": "did not begin from the baseline's weights",
    "order_digest": "did not see the samples in the baseline's order",
    "augment_digest": "did not see the samples augmented as the baseline's",
}


def conditions(frames: Frames, baseline: str) -> Iterator[Finding]:
    """Compare the conditions of each run with its baseline's, then the seeds with one another."""
    done = frames.done
    commits = done["commit"].map(lambda commit: str(commit)[:SHORT], na_action="ignore")
    runs = done.assign(imported_from=fill_unknown(done["imported_from"], MEASURED), commit=commits)
    known = runs.dropna(subset=KEYS)
    base = known[known["strategy"] == baseline].drop_duplicates(KEYS)
    matched = known.merge(base[[*KEYS, "epochs_done", *CONDITIONS, *DIGESTS]], on=KEYS, suffixes=("", "_base"))
    for column, spoils in CONDITIONS.items():
        different = matched[_differs(matched, column)]
        for pair, own in different.groupby("pair", sort=False):
            values = listed([*own[column], *own[f"{column}_base"]])
            strategies = sorted(set(own["strategy"]))
            text = f"{pair}: {', '.join(strategies)} and {baseline} differ in {column} ({values}); {spoils}"
            yield warning(column, text, about(pair, *strategies))
        yield from _between_seeds(matched[~matched["pair"].isin(different["pair"])], column)
    for column, spoils in DIGESTS.items():
        runs = (
            matched[matched["upstream"].isna()] if column == "weights_digest" else matched
        )  # a chain's differ by design
        for row, own in runs[_differs(runs, column)].groupby(["pair", "strategy"], sort=False):
            text = f"{row[0]} / {row[1]}: seeds {sorted(set(own['seed']))} {spoils} ({column})"
            yield warning(column, text, about(*row))
    yield from _lengths(matched[matched["imported_from"] != MEASURED], baseline)
    yield from _remarks(runs)


def _differs(matched: pd.DataFrame, column: str) -> "pd.Series[bool]":
    own, base = matched[column], matched[f"{column}_base"]
    return own.notna() & base.notna() & (own.astype(str) != base.astype(str))


def _lengths(imported: pd.DataFrame, baseline: str) -> Iterator[Finding]:
    """Imported logs may end early without a word; a measured run is done when all its epochs are."""
    for row, own in imported[_differs(imported, "epochs_done")].groupby(["pair", "strategy"], sort=False):
        epochs, base = listed(own["epochs_done"]), listed(own["epochs_done_base"])
        text = f"{row[0]} / {row[1]}: {epochs} epochs are on record, of {baseline} {base}"
        yield warning("epochs", text, about(*row))


def _between_seeds(matched: pd.DataFrame, column: str) -> Iterator[Finding]:
    for pair, own in matched.groupby("pair", sort=False):
        if own[column].nunique() > 1:
            text = f"{pair}: seeds differ in {column} ({listed(own[column])}); each is compared with its own baseline"
            yield note(column, text, about(pair))


def _remarks(runs: pd.DataFrame) -> Iterator[Finding]:
    for pair, own in runs.groupby("pair", sort=False):
        if (own["max_parallel"] > 1).any():
            most = f"{own['max_parallel'].max():g}"
            text = f"{pair}: up to {most} runs shared the machine; cpu_s is steadier than train_s"
            yield note("max_parallel", text, about(pair))
        for dataset_note, noted in own.groupby("dataset_note", sort=False):
            n_of = "" if len(noted) == len(own) else f"{len(noted)} of {len(own)} runs were "
            text = f"{pair}: {n_of}made on a set that is not the official one: {dataset_note}"
            yield warning("dataset", text, about(pair, *(sorted(set(noted["strategy"])) if n_of else ())))
        for strategy, codes in own.groupby("strategy", sort=False)["strategy_code"]:
            if codes.nunique() > 1:
                text = (
                    f"{pair} / {strategy}: its source changed between runs ({listed(codes)}); they are not one method"
                )
                yield warning("strategy_code", text, about(pair, strategy))
        if own["dirty"].eq(True).any():
            yield note("dirty", f"{pair}: made with uncommitted changes in kbench's source", about(pair))
        for strategy, moved in own.dropna(subset="disturbs").groupby("strategy", sort=False):
            text = (
                f"{pair} / {strategy} moved random streams of others ({listed(moved['disturbs'])}); they were put back"
            )
            yield note("disturbs", text, about(pair, strategy))


def listed(values: Iterable[object]) -> str:
    """The known among ``values`` in words, each once; counts that pandas made floats of are whole again."""
    known = (value for value in values if value is not None and value == value)
    return ", ".join(sorted({f"{value:g}" if isinstance(value, float) else str(value) for value in known}))
