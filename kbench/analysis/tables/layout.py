"""The tables of a comparison: accuracy and time, targets, samples, where the time went, transfers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kbench.analysis.audit.disturbed import times_note
from kbench.analysis.frame import Clock
from kbench.analysis.rows import Comparison, Row
from kbench.analysis.tables.across import across_table
from kbench.analysis.tables.model import (
    NONE,
    Cell,
    Document,
    Line,
    Number,
    Table,
    bounds,
    cell,
    interval,
    mean_and_sd,
    number,
    percent,
    points,
    seconds,
)
from kbench.analysis.time_to_target import TimeToTarget
from kbench.analysis.transfer import Transfer, TransferRow
from kbench.records.schema import ACCURACY, noun

CLAIM_HEADER = ("claim", "saves at least", "loses at most", "shown", "seeds needed", "over seeds and samples")
COUNTS = ("test_samples", "hits_seeds")  # of a claim: they alone claim nothing
CLAIM_NOTES = (
    "saves at least, loses at most: one-sided bounds over seeds, 95 % each, of training time and final accuracy. "
    "shown: that it saves time and loses less than the margin, both (5 % of error, all strategies taken "
    "together); no: the contrary is. seeds needed: in all, for 80 % power if the truth is as measured; -: none "
    "would do, or no margin was set.",
)
SAMPLES_CI_NOTE = (
    "over seeds and samples: 95 % interval of the difference of final accuracies [points] as if other test samples of "
    "their kind were drawn as well; every other interval is over seeds, on these very samples."
)
ACCURACY_NOTE = (
    "{what} in %, mean over seeds ± standard deviation; final: after the last epoch, best: of all epochs; diff: to the "
    "baseline's matched runs [points]."
)
ACCURACY_NOTES = (
    "train s: geometric mean; time: its change, every cost included; at best: what the samples trained, scored and "
    "refreshed would cost if nothing else did.",
    "Differences are paired by seed: same model, data, recipe, seed, ranks. [a, b]: 95 % interval over seeds "
    "(Student's t), from three on; range a, b: the smallest and largest of the seeds, no interval.",
)
CLOCK_NOTES = (
    "train: training, every cost of a strategy included; total: evaluation and staging with it, start-up apart, as "
    "MLPerf's time to train; CPU: processor time of all ranks while they train. Geometric means; change and interval "
    "as for time above.",
)
TOTAL_NOTE = "Targets are reached on the total clock here: training, evaluation and staging."
SAMPLES_NOTES = (
    "hidden: mean share of the samples that an epoch's plan leaves out, allowed: that the strategy allowed itself; "
    "trained, scored, refreshed: samples of a run, forward only for the last two.",
)
TARGET_NOTES = (
    "Time to a target: the end of the first epoch at or above it, nothing interpolated, geometric mean over seeds; "
    "sustained: that stays there at the next; clock: looked at an epoch of the slower one apart. speed-up: the "
    "baseline's time over this one's, paired by seed, where all runs of both reached it.",
    "A run that ended short of the target never reached it: with one, there is no mean (from six seeds on JSON has "
    "the median, where it counts as 0). >=: only the baseline fell short; its total time counts.",
)
ERROR_NOTE = "final*K: K times the baseline's mean final error on the pair; the accuracy meant is in parentheses."
PARTS_NOTES = (
    "Seconds of a run over all its phases, arithmetic mean over seeds, and share of the training time; backgr. (work "
    "in the background, on another thread or stream), eval and stage (copying data to the node) are not on that "
    "clock; total: "
    "training, eval and stage together; -: not known, or nothing was staged.",
)
SHORT = {"background": "backgr."}  # heads of columns that would be too wide for a terminal
TRANSFER_NOTES = (
    "upstream loss: training loss of the last epoch [nat]; upstream time: change of training time, every cost "
    "included; final: after the last epoch, in %, diff to the baseline's [points]; a seed counts if it went all the "
    "way with its baseline.",
)
RECORDED_NOTE = (
    "Each strategy selects upstream only; downstream it trains like the baseline, from the weights that it ended with."
)
SMOOTHED_NOTE = (
    "upstream loss is the plain cross-entropy; with label smoothing is what the recipe trained with, and what code "
    "that smooths labels logs: the two are not compared with one another."
)


def document(comparison: Comparison) -> Document:
    """A comparison with its tables, ready to be printed."""
    return Document(comparison=comparison, tables=tuple(tables(comparison)), findings=comparison.findings, published={})


def tables(comparison: Comparison) -> list[Table]:
    """The tables of a comparison: pair by pair, all pairs, transfers; those in which nothing is known are left out."""
    found = []
    for pair in dict.fromkeys(row.pair for row in comparison.rows):
        rows = [row for row in comparison.rows if row.pair == pair]
        found.append(_claims([row for row in rows if row.strategy != comparison.baseline], comparison.baseline, pair))
        accuracy = _accuracy(rows, f"{comparison.experiment}: {pair}, compared with {comparison.baseline}")
        of_times = [accuracy, _clocks(rows)]
        if any(row.targets for row in rows):
            of_times.append(_targets(rows, comparison.clock))
        note = disturbed_note(comparison, pair)
        of_times = [
            replace(table, notes=(*table.notes, *filter(None, [note]))) for table in (*of_times, _time_parts(rows))
        ]
        found += [*of_times[:-1], _samples(rows), of_times[-1]]
    found += [table for table in [across_table(comparison)] if table is not None]
    found += [_transfer(transfer, comparison) for transfer in comparison.transfers]
    return [table for table in found if _has_values(table)]


def disturbed_note(comparison: Comparison, pair: str | None = None) -> str:
    """What is said of disturbed runs below what shows times, of one pair or all; nothing where there are none."""
    disturbed = [run for run in comparison.disturbed if pair in (None, run.pair)]
    is_clear = pair is not None or len({row.pair for row in comparison.rows}) == 1
    names = [run.name if is_clear else f"{run.pair} {run.name}" for run in disturbed]
    rows = [row for row in comparison.rows if pair in (None, row.pair)]
    return times_note(names, rows if pair else (), keeps=comparison.keeps_disturbed)


def metric_of(rows: Sequence[Row]) -> str | None:
    """What the accuracies of a pair's rows are, as far as one of them knows."""
    return next((row.metric for row in rows if row.metric), None)


def _has_values(table: Table) -> bool:
    """Whether anything in a table is known, other than how much was counted; imported logs do not hold everything."""
    numbers = (number for line in table.lines for cell in line.cells for number in cell.numbers)
    return any(number.value is not None and number.key not in COUNTS for number in numbers)


def _claims(rows: Sequence[Row], baseline: str, pair: str) -> Table:
    """What is shown of time saved and accuracy lost, on one pair."""
    margin = next((row.margin for row in rows if row.margin is not None), None)
    within = "no margin set" if margin is None else f"margin {points(margin)}"
    title = f"{pair}: time saved and {noun(metric_of(rows))} lost against {baseline}, {within}"
    lines = tuple(Line(row.pair, row.strategy, tuple(_claim_cells(row))) for row in rows)
    return Table("claims", title, CLAIM_HEADER, lines, (*CLAIM_NOTES, SAMPLES_CI_NOTE, *_without_samples(rows)))


def _without_samples(rows: Sequence[Row]) -> Iterator[str]:
    """Why the interval over samples is not known, or which runs it is without."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        if row.hits_missing:
            reasons.setdefault(row.hits_missing, []).append(row)
    for reason, those in reasons.items():
        names = "" if len(those) == len(rows) else f" of {', '.join(row.strategy for row in those)}"
        seeds = "".join(f", {row.hits_seeds} of {row.seeds} seeds" for row in those[:1] if row.hits_seeds)
        yield f"over samples{names}: {'without some runs' if seeds else 'not known'}{seeds} ({reason})."


def _claim_cells(row: Row) -> Iterator[Cell]:
    yield cell(
        percent("saves_at_least", row.saves_at_least, ".1f"), " %", percent("saves_at_most", row.saves_at_most, ".1f")
    )
    yield cell(percent("loses_at_most", row.loses_at_most), " points", percent("loses_at_least", row.loses_at_least))
    text = {"yes": "yes", "no": "no", "open": "not shown", None: NONE}[row.shown]
    value = {"yes": 1, "no": 0}.get(row.shown or "")
    yield Cell(
        text,
        (
            Number("shown", value, text),
            number("shown_p_holm", row.shown_p_holm, ".3g"),
            Number("equivalent", row.equivalent, NONE if row.equivalent is None else "yes" if row.equivalent else "no"),
            percent("margin", row.margin, "g"),
        ),
    )
    yield cell(number("seeds_needed", row.seeds_needed, "d"))
    both = interval("acc_final_diff_samples", row.acc_final_diff_samples_ci, None, "+.2f")
    counts = (number("test_samples", row.test_samples, "d"), number("hits_seeds", row.hits_seeds, "d"))
    yield Cell(both.text or NONE, (*both.numbers[:2], *counts))


def _accuracy(rows: Sequence[Row], title: str) -> Table:
    metric = metric_of(rows)
    final, best = ("final acc", "best acc") if noun(metric) == ACCURACY else (f"final {noun(metric)}", "best")
    what = "Accuracies" if noun(metric) == ACCURACY else noun(metric)
    notes = (ACCURACY_NOTE.format(what=what[0].upper() + what[1:]), *ACCURACY_NOTES)
    header = ("strategy", "seeds", final, "diff", "", best, "diff", "train s", "time", "", "at best")
    lines = tuple(Line(row.pair, row.strategy, tuple(_accuracy_cells(row))) for row in rows)
    return Table("accuracy", title, header, lines, notes)


def _accuracy_cells(row: Row) -> Iterator[Cell]:
    yield cell(number("seeds", row.seeds, "d"), "", percent("noise", row.noise, "g"))
    final = mean_and_sd(percent("acc_final", row.acc_final), percent("acc_final_sd", row.acc_final_sd))
    yield Cell(final.text, (*final.numbers, percent("acc_final_base", row.acc_final_base), *_worst_class(row)))
    yield cell(
        percent("acc_final_diff", row.acc_final_diff, "+.2f"),
        "",
        number("acc_final_diff_p", row.acc_final_diff_p, ".3g"),
        number("acc_final_diff_p_holm", row.acc_final_diff_p_holm, ".3g"),
    )
    spans = (row.acc_final_diff_ci, row.acc_final_diff_range)
    yield interval("acc_final_diff", *spans, "+.2f", bca=row.acc_final_diff_bca)
    yield cell(percent("acc_best", row.acc_best), "", percent("acc_best_sd", row.acc_best_sd))
    bounds = interval("acc_diff", row.acc_diff_ci, row.acc_diff_range, "+.2f")
    yield cell(percent("acc_diff", row.acc_diff, "+.2f"), "", *bounds.numbers)
    yield cell(
        seconds("train_s", row.train_s),
        "",
        seconds("train_s_sd", row.train_s_sd),
        seconds("train_s_base", row.train_s_base),
        number("timed_seeds", row.timed_seeds, "d"),
    )
    yield cell(
        percent("time_diff", row.time_diff, "+.1f"),
        " %",
        number("time_diff_p", row.time_diff_p, ".3g"),
        number("time_diff_p_holm", row.time_diff_p_holm, ".3g"),
    )
    yield interval("time_diff", row.time_diff_ci, row.time_diff_range, "+.1f", bca=row.time_diff_bca)
    yield cell(percent("time_ceiling", row.ideal_time_change, "+.1f"), " %")


def _worst_class(row: Row) -> Iterator[Number]:
    """The accuracy of the worst class, behind the final one."""
    yield percent("acc_worst", row.acc_worst)
    yield percent("acc_worst_sd", row.acc_worst_sd)
    yield percent("acc_worst_base", row.acc_worst_base)
    yield percent("acc_worst_diff", row.acc_worst_diff, "+.2f")
    yield from bounds("acc_worst_diff_ci", row.acc_worst_diff_ci, "+.2f")
    yield from bounds("acc_worst_diff_range", row.acc_worst_diff_range, "+.2f")


def _clocks(rows: Sequence[Row]) -> Table:
    """The time of a run on each clock, and its change, on one pair; processor time where it trained on CPUs."""
    clocks = [("train", "train_s", "time_diff"), ("total", "total_s", "total_diff")]
    if any(row.cpu_s is not None for row in rows):
        clocks.append(("CPU", "cpu_s", "cpu_diff"))
    header = ["clock", *(text for name, _, _ in clocks for text in (f"{name} s", "change", ""))]
    lines = [
        Line(row.pair, row.strategy, tuple(cell for _, *names in clocks for cell in _clock_cells(row, *names)))
        for row in rows
    ]
    return Table("clocks", f"{rows[0].pair}: time on each clock", tuple(header), tuple(lines), CLOCK_NOTES)


def _clock_cells(row: Row, seconds_name: str, change_name: str) -> Iterator[Cell]:
    base = seconds(f"{seconds_name}_base", getattr(row, f"{seconds_name}_base"))
    yield cell(seconds(seconds_name, getattr(row, seconds_name)), "", base)
    yield cell(percent(change_name, getattr(row, change_name), "+.1f"), " %")
    ci, spans = getattr(row, f"{change_name}_ci"), getattr(row, f"{change_name}_range")
    yield interval(change_name, ci, spans, "+.1f")


def _targets(rows: Sequence[Row], clock: Clock) -> Table:
    """How fast each target was reached, on one pair."""
    header = ["time to"]
    for target in rows[0].targets:
        header += [_target_text(target), "speed-up", ""]
    lines = [Line(row.pair, row.strategy, tuple(_target_cells(row))) for row in rows]
    relative = any(target.requested.startswith("final") for target in rows[0].targets)
    notes = (*TARGET_NOTES, *[ERROR_NOTE] * relative, *[TOTAL_NOTE] * (clock == "total"))
    title = f"{rows[0].pair}: time to target" + (", evaluation and staging included" if clock == "total" else "")
    return Table("targets", title, tuple(header), tuple(lines), notes)


def _time_parts(rows: Sequence[Row]) -> Table:
    """Where the time of each strategy went, on one pair; without columns for what nobody staged or charged."""
    absent = set() if any(row.stage_s is not None for row in rows) else {"stage"}
    if not any(row.time_parts["charged"].seconds for row in rows):
        absent.add("charged")
    names = [name for name in rows[0].time_parts if name not in absent]
    header = ("seconds", *(SHORT.get(name, name) for name in names))
    lines = [Line(row.pair, row.strategy, tuple(_part_cells(row, names))) for row in rows]
    return Table("parts", f"{rows[0].pair}: where the time went", header, tuple(lines), PARTS_NOTES)


def _target_text(target: TimeToTarget) -> str:
    percent = NONE if target.target is None else f"{100 * target.target:.4g} %"
    rule = "" if target.rule == "first" else f", {target.rule}"
    requested = target.requested.partition(":")[0]
    return f"{requested} ({percent}{rule})" if requested.startswith("final") else f"{percent}{rule}"


def _target_cells(row: Row) -> Iterator[Cell]:
    for target in row.targets:
        key = f"target_{target.requested}"
        reached = number(f"{key}_reached", target.reached, "d")
        spent = seconds(f"{key}_seconds", target.seconds)
        text = f"{spent.text} s"
        if target.seconds is None:
            unknown = target.reached in (None, row.seeds)  # or reached at a time that is not on record
            text = NONE if unknown else f"not reached ({reached.text} of {row.seeds})"
        base = seconds(f"{key}_seconds_base", target.seconds_base)
        yield Cell(text, (number(f"{key}_accuracy", target.target, ".6g"), reached, spent, base))
        yield _speedup(target, key)
        yield _speedup_interval(target, key)


def _speedup(target: TimeToTarget, key: str) -> Cell:
    mean = number(f"{key}_speedup", target.speedup, ".2f")
    least = number(f"{key}_speedup_at_least", target.speedup_at_least, ".2f")
    median = number(f"{key}_speedup_median", target.speedup_median, ".2f")
    text = NONE
    if target.speedup is not None:
        text = f"{mean.text}x"
    elif target.speedup_at_least is not None:
        text = f">={least.text}x"
    return Cell(text, (mean, least, median))


def _speedup_interval(target: TimeToTarget, key: str) -> Cell:
    shown = interval(f"{key}_speedup", target.speedup_ci, target.speedup_range, ".2f", scale=1)
    low, high = target.speedup_median_ci or (None, None)
    ends = number(f"{key}_speedup_median_ci_low", low, ".2f"), number(f"{key}_speedup_median_ci_high", high, ".2f")
    return Cell(shown.text, (*shown.numbers, *ends))


def _part_cells(row: Row, names: Sequence[str]) -> Iterator[Cell]:
    cells = {name: _part(row, name) for name in row.time_parts}
    behind = [number for name, cell in cells.items() if name not in names for number in cell.numbers]
    for name in names:
        yield Cell(cells[name].text, (*cells[name].numbers, *(behind if name == names[-1] else ())))


def _part(row: Row, name: str) -> Cell:
    part = row.time_parts[name]
    spent = seconds("parts_total_s" if name == "total" else f"{name}_s", part.seconds)  # total_s is geometric
    share = number(f"{name}_share", part.share, ".0f", scale=100)
    if part.seconds == 0:
        spent = Number(spent.key, spent.value, "0")
    if part.share is None:
        return Cell(spent.text, (spent,))
    return Cell(spent.text if part.seconds == 0 else f"{spent.text} {share.text}%", (spent, share))


def _samples(rows: Sequence[Row]) -> Table:
    header = ("samples", "hidden", "allowed", "trained", "scored", "refreshed")
    lines = []
    for row in rows:
        shares = (("hidden_mean", row.hidden_mean), ("hidden_ceiling", row.hidden_ceiling))
        counts = (("n_trained", row.n_trained), ("n_scored", row.n_scored), ("n_refreshed", row.n_refreshed))
        cells = [cell(percent(key, share, ".1f"), " %") for key, share in shares]
        cells += [cell(number(key, count, ",d")) for key, count in counts]
        lines.append(Line(row.pair, row.strategy, tuple(cells)))
    return Table("samples", f"{rows[0].pair}: samples of a run", header, tuple(lines), SAMPLES_NOTES)


def _transfer(transfer: Transfer, comparison: Comparison) -> Table:
    smooths = any(row.upstream_loss_smoothed is not None for row in transfer.rows)
    header = ["strategy", "seeds", "upstream loss", *["with label smoothing"] * smooths]
    header += ["upstream train s", "upstream time", ""]
    metrics = {down.pair: noun(down.metric) for row in transfer.rows for down in row.downstream if down.metric}
    for pair in transfer.downstream:
        name = metrics.get(pair, ACCURACY)
        header += [f"{pair}: final {'acc' if name == ACCURACY else name}", "diff", ""]
    title = (
        f"{comparison.experiment}: {transfer.upstream}, then {', '.join(transfer.downstream)}, "
        f"compared with {comparison.baseline}"
    )
    lines = tuple(
        Line(transfer.upstream, row.strategy, tuple(_transfer_cells(row, smooths=smooths))) for row in transfer.rows
    )
    notes = (*TRANSFER_NOTES, *[RECORDED_NOTE] * transfer.recorded, *[SMOOTHED_NOTE] * smooths)
    return Table("transfer", title, tuple(header), lines, notes, transposed=True)


def _transfer_cells(row: TransferRow, *, smooths: bool) -> Iterator[Cell]:
    yield cell(number("upstream_seeds", row.seeds, "d"))
    for key in ("upstream_loss", *["upstream_loss_smoothed"] * smooths):
        yield mean_and_sd(number(key, getattr(row, key), ".3f"), number(f"{key}_sd", getattr(row, f"{key}_sd"), ".3f"))
    yield cell(seconds("upstream_s", row.upstream_s))
    yield cell(percent("upstream_time_diff", row.upstream_time_diff, "+.1f"), " %")
    yield interval("upstream_time_diff", row.upstream_time_diff_ci, row.upstream_time_diff_range, "+.1f")
    for down in row.downstream:
        best = percent(f"{down.pair}_acc_best", down.acc_best)
        final = percent(f"{down.pair}_acc_final", down.acc_final)
        shown = mean_and_sd(final, percent(f"{down.pair}_acc_final_sd", down.acc_final_sd))
        yield Cell(shown.text, (*shown.numbers, best))
        yield cell(percent(f"{down.pair}_acc_final_diff", down.acc_final_diff, "+.2f"))
        yield interval(f"{down.pair}_acc_final_diff", down.acc_final_diff_ci, down.acc_final_diff_range, "+.2f")
