"""The tables of a comparison: accuracy and time, targets, samples, where the time went, transfers."""

from collections.abc import Iterator, Sequence

from kbench.analysis.rows import Comparison, Row, Transfer, TransferRow
from kbench.analysis.tables.cells import PERCENT, cell, interval, number, seconds, spread
from kbench.analysis.tables.model import Cell, Line, Number, Table
from kbench.analysis.tables.time import parts, targets
from kbench.records.schema import ACCURACY, noun

ACCURACY_NOTE = (
    "{what} in %, mean over seeds ± standard deviation; best: of all epochs, final: after the last; diff: to the "
    "baseline's matched runs [points]."
)
ACCURACY_NOTES = (
    "time: change of training time, every cost included; at best: what the samples trained, scored and refreshed "
    "would cost if nothing else did.",
    "Differences are paired by seed: same model, data, recipe, seed, ranks. [a, b]: 95 % interval (Student's t), from "
    "three seeds on; range a, b: the smallest and largest of the seeds, no interval.",
)
SAMPLES_NOTES = (
    "hidden: mean share of the samples that an epoch's plan leaves out, allowed: that the strategy allowed itself; "
    "trained, scored, refreshed: samples of a run, forward only for the last two.",
)
TRANSFER_NOTES = (
    "upstream loss: training loss of the last epoch [nat]; upstream time: change of training time, every cost "
    "included; final: after the last epoch, in %, diff to the baseline's [points]; a seed counts if it went all the "
    "way with its baseline.",
)
RECORDED_NOTE = (
    "Each strategy selects upstream only; downstream it trains like the baseline, from the weights that it ended with."
)


def tables(comparison: Comparison) -> list[Table]:
    """All tables, pair by pair, then the transfers."""
    found = []
    for pair in dict.fromkeys(row.pair for row in comparison.rows):
        rows = [row for row in comparison.rows if row.pair == pair]
        found.append(_accuracy(rows, f"{comparison.experiment}: {pair}, compared with {comparison.baseline}"))
        if any(row.targets for row in rows):
            found.append(targets(rows))
        found += [_samples(rows), parts(rows)]
    found += [_transfer(transfer, comparison) for transfer in comparison.transfers]
    return [table for table in found if _tells(table)]


def metric_of(rows: Sequence[Row]) -> str | None:
    """What the accuracies of a pair's rows are, as far as one of them knows."""
    return next((row.metric for row in rows if row.metric), None)


def _tells(table: Table) -> bool:
    """Whether anything in a table is known; logs of others do not tell everything."""
    return any(n.value is not None for line in table.lines for cell in line.cells for n in cell.numbers)


def _accuracy(rows: Sequence[Row], title: str) -> Table:
    metric = metric_of(rows)
    best = "best acc" if noun(metric) == ACCURACY else f"best {noun(metric)}"
    what = "Accuracies" if noun(metric) == ACCURACY else noun(metric)
    notes = (ACCURACY_NOTE.format(what=what[0].upper() + what[1:]), *ACCURACY_NOTES)
    header = ("strategy", "seeds", best, "diff", "", "final", "diff", "train s", "time", "", "at best")
    lines = tuple(Line(row.pair, row.strategy, tuple(_accuracy_cells(row))) for row in rows)
    return Table("accuracy", title, header, lines, notes)


def _accuracy_cells(row: Row) -> Iterator[Cell]:
    final = (row.acc_final_diff_ci, row.acc_final_diff_range)
    yield cell(number("seeds", row.seeds, "d"))
    yield spread(_percent("acc_best", row.acc_best), _percent("acc_best_sd", row.acc_best_sd))
    yield cell(
        _percent("acc_diff", row.acc_diff, "+.2f"),
        "",
        number("acc_diff_p", row.acc_diff_p, ".3g"),
        number("acc_diff_p_holm", row.acc_diff_p_holm, ".3g"),
    )
    yield interval("acc_diff", row.acc_diff_ci, row.acc_diff_range, "+.2f", bca=row.acc_diff_bca)
    yield cell(_percent("acc_final", row.acc_final), "", _percent("acc_final_sd", row.acc_final_sd))
    behind = interval("acc_final_diff", *final, "+.2f")
    yield cell(_percent("acc_final_diff", row.acc_final_diff, "+.2f"), "", *behind.numbers)
    yield cell(seconds("train_s", row.train_s), "", seconds("train_s_sd", row.train_s_sd))
    yield cell(
        _percent("time_diff", row.time_diff, "+.1f"),
        " %",
        number("time_diff_p", row.time_diff_p, ".3g"),
        number("time_diff_p_holm", row.time_diff_p_holm, ".3g"),
    )
    yield interval("time_diff", row.time_diff_ci, row.time_diff_range, "+.1f", bca=row.time_diff_bca)
    yield cell(_percent("time_ceiling", row.time_ceiling, "+.1f"), " %")


def _samples(rows: Sequence[Row]) -> Table:
    header = ("samples", "hidden", "allowed", "trained", "scored", "refreshed")
    lines = []
    for row in rows:
        shares = (("hidden_mean", row.hidden_mean), ("hidden_ceiling", row.hidden_ceiling))
        counts = (("n_trained", row.n_trained), ("n_scored", row.n_scored), ("n_refreshed", row.n_refreshed))
        cells = [cell(_percent(key, share, ".1f"), " %") for key, share in shares]
        cells += [cell(number(key, count, ",d")) for key, count in counts]
        lines.append(Line(row.pair, row.strategy, tuple(cells)))
    return Table("samples", f"{rows[0].pair}: samples of a run", header, tuple(lines), SAMPLES_NOTES)


def _transfer(transfer: Transfer, comparison: Comparison) -> Table:
    header = ["strategy", "seeds", "upstream loss", "upstream train s", "upstream time", ""]
    metrics = {down.pair: noun(down.metric) for row in transfer.rows for down in row.downstream if down.metric}
    for pair in transfer.downstream:
        name = metrics.get(pair, ACCURACY)
        header += [f"{pair}: final {'acc' if name == ACCURACY else name}", "diff", ""]
    title = (
        f"{comparison.experiment}: {transfer.upstream}, then {', '.join(transfer.downstream)}, "
        f"compared with {comparison.baseline}"
    )
    lines = tuple(Line(transfer.upstream, row.strategy, tuple(_transfer_cells(row))) for row in transfer.rows)
    notes = (*TRANSFER_NOTES, RECORDED_NOTE) if transfer.recorded else TRANSFER_NOTES
    return Table("transfer", title, tuple(header), lines, notes, turned=True)


def _transfer_cells(row: TransferRow) -> Iterator[Cell]:
    yield cell(number("upstream_seeds", row.seeds, "d"))
    yield spread(
        number("upstream_loss", row.upstream_loss, ".3f"), number("upstream_loss_sd", row.upstream_loss_sd, ".3f")
    )
    yield cell(seconds("upstream_s", row.upstream_s))
    yield cell(_percent("upstream_time_diff", row.upstream_time_diff, "+.1f"), " %")
    yield interval("upstream_time_diff", row.upstream_time_diff_ci, row.upstream_time_diff_range, "+.1f")
    for down in row.downstream:
        best = _percent(f"{down.pair}_acc_best", down.acc_best)
        final = _percent(f"{down.pair}_acc_final", down.acc_final)
        shown = spread(final, _percent(f"{down.pair}_acc_final_sd", down.acc_final_sd))
        yield Cell(shown.text, (*shown.numbers, best))
        yield cell(_percent(f"{down.pair}_acc_final_diff", down.acc_final_diff, "+.2f"))
        yield interval(f"{down.pair}_acc_final_diff", down.acc_final_diff_ci, down.acc_final_diff_range, "+.2f")


def _percent(key: str, value: float | None, form: str = ".2f") -> Number:
    return number(key, value, form, scale=PERCENT)
