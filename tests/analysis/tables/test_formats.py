"""Text, Markdown, LaTeX, CSV and JSON hold the same numbers."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from kbench.analysis.rows import Comparison
from kbench.analysis.tables.latex import latex
from kbench.analysis.tables.layout import tables
from kbench.analysis.tables.plain import csv_text, markdown, text

Grid = list[list[str]]
KINDS = ["accuracy", "targets", "samples", "parts"]
PERCENT = (
    "total_diff",
    "cpu_diff",
    "acc_",
    "saves_",
    "loses_",
    "margin",
    "time_diff",
    "time_ceiling",
    "hidden_",
    "upstream_time_diff",
)


def printed(comparison: Comparison, form: str) -> str:
    made, name = tables(comparison), comparison.experiment
    return {
        "text": lambda: text(made, comparison.findings),
        "markdown": lambda: markdown(made, comparison.findings),
        "latex": lambda: latex(made, name, comparison.findings),
        "csv": lambda: csv_text(made, name, {row.pair: row.metric for row in comparison.rows}),
    }[form]()


def bounds(found: list[float] | None, spans: list[float] | None, form: str, scale: float = 100) -> list[str]:
    """What a person reads of an interval or of a range."""
    if found:
        return [f"[{scale * found[0]:{form}}, {scale * found[1]:{form}}]"]
    if spans and spans[0] != spans[1]:
        return [f"range {scale * spans[0]:{form}}, {scale * spans[1]:{form}}"]
    return []


def seconds(value: float) -> str:
    assert value < 100
    return f"{value:.2f}"


def accuracy_line(row: dict[str, Any]) -> list[str]:
    def signed(value: float | None, form: str, unit: str = "") -> str:
        return "-" if value is None else f"{100 * value:{form}}{unit}"

    return [
        row["strategy"],
        str(row["seeds"]),
        f"{100 * row['acc_final']:.2f} ±{100 * row['acc_final_sd']:.2f}",
        signed(row["acc_final_diff"], "+.2f"),
        *bounds(row["acc_final_diff_ci"], row["acc_final_diff_range"], "+.2f"),
        f"{100 * row['acc_best']:.2f}",
        signed(row["acc_diff"], "+.2f"),
        seconds(row["train_s"]),
        signed(row["time_diff"], "+.1f", " %"),
        *bounds(row["time_diff_ci"], row["time_diff_range"], "+.1f"),
        signed(row["time_ceiling"], "+.1f", " %"),
    ]


def claims_line(row: dict[str, Any]) -> list[str]:
    return [
        row["strategy"],
        f"{100 * row['saves_at_least']:.1f} %",
        f"{100 * row['loses_at_most']:.2f} points",
        {"yes": "yes", "no": "no", "open": "not shown"}[row["shown"]],
        "-" if row["seeds_needed"] is None else str(row["seeds_needed"]),
        *(bounds(row["acc_final_diff_samples_ci"], None, "+.2f") or ["-"]),
    ]


def clocks_line(row: dict[str, Any], *, clocks: list[tuple[str, str]]) -> list[str]:
    line = [row["strategy"]]
    for spent, change in clocks:
        line.append("-" if row[spent] is None else seconds(row[spent]))
        line.append("-" if row[change] is None else f"{100 * row[change]:+.1f} %")
        line += bounds(row[f"{change}_ci"], row[f"{change}_range"], "+.1f")
    return line


def targets_line(row: dict[str, Any]) -> list[str]:
    line = [row["strategy"]]
    for reach in row["targets"]:
        missed = f"not reached ({reach['reached']} of {row['seeds']})"
        line.append(missed if reach["seconds"] is None else f"{seconds(reach['seconds'])} s")
        least = reach["speedup_at_least"]
        line.append(f"{reach['speedup']:.2f}x" if reach["speedup"] else f">={least:.2f}x" if least else "-")
        line += bounds(reach["speedup_ci"], reach["speedup_range"], ".2f", 1)
    return line


def samples_line(row: dict[str, Any]) -> list[str]:
    shares = [f"{100 * row[key]:.1f} %" for key in ("hidden_mean", "hidden_ceiling")]
    return [row["strategy"], *shares, *(f"{row[key]:,}" for key in ("n_trained", "n_scored", "n_refreshed"))]


def parts_line(row: dict[str, Any], *, absent: set[str]) -> list[str]:
    def cell(part: dict[str, Any]) -> str:
        if not part["seconds"]:
            return "-" if part["seconds"] is None else "0"
        return seconds(part["seconds"]) + ("" if part["share"] is None else f" {100 * part['share']:.0f}%")

    return [row["strategy"], *(cell(part) for name, part in row["time_parts"].items() if name not in absent)]


def transfer_grid(rows: list[dict[str, Any]]) -> Grid:
    """The paper's layout: a column per strategy; intervals in rows of their own, where there are any."""
    columns = [list(transfer_column(row)) for row in rows]
    lines = [[head, *(column[i][1] for column in columns)] for i, (head, _) in enumerate(columns[0])]
    return [[cell for cell in line if cell] for line in lines if any(line[1:])]


def transfer_column(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    (down,) = row["downstream"]
    diffs = row["upstream_time_diff"], down["acc_final_diff"]
    yield "seeds", str(row["seeds"])
    yield "upstream loss", f"{row['upstream_loss']:.3f} ±{row['upstream_loss_sd']:.3f}"
    yield "upstream train s", seconds(row["upstream_s"])
    yield "upstream time", "-" if diffs[0] is None else f"{100 * diffs[0]:+.1f} %"
    yield "", "".join(bounds(row["upstream_time_diff_ci"], row["upstream_time_diff_range"], "+.1f"))
    yield f"{down['pair']}: final acc", f"{100 * down['acc_final']:.2f} ±{100 * down['acc_final_sd']:.2f}"
    yield "diff", "-" if diffs[1] is None else f"{100 * diffs[1]:+.2f}"
    yield "", "".join(bounds(down["acc_final_diff_ci"], down["acc_final_diff_range"], "+.2f"))


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_every_table_shows_the_numbers_of_the_json(full: Comparison, form: str, read: Any) -> None:
    grids = getattr(read, form)(printed(full, form))
    told = json.loads(json.dumps(full.as_json(), allow_nan=False))
    expected = []
    for pair in ("digits-cnn-digits", "mlp-digits"):
        rows = [row for row in told["rows"] if row["pair"] == pair]
        absent = {"charged"} | ({"stage"} if all(row["stage_s"] is None for row in rows) else set())
        parts = partial(parts_line, absent=absent)
        bounded = [claims_line(row) for row in rows if row["saves_at_least"] is not None]
        expected += [bounded] if bounded else []
        clocks = [("train_s", "time_diff"), ("total_s", "total_diff"), ("cpu_s", "cpu_diff")]
        on_clocks = partial(clocks_line, clocks=clocks if any(row["cpu_s"] for row in rows) else clocks[:2])
        lines = (accuracy_line, on_clocks, targets_line, samples_line, parts)
        expected += [[line(row) for row in rows] for line in lines]
    expected.append(transfer_grid(told["transfers"][0]["rows"]))
    assert [grid[1:] for grid in grids] == expected


def test_the_comparison_that_is_read_back_has_all_there_is(full: Comparison) -> None:
    rows = {(row.pair, row.strategy): row for row in full.rows}
    three, two = rows["digits-cnn-digits", "sb-2"], rows["mlp-digits", "random_25"]
    assert three.acc_diff_ci and three.time_diff_ci and three.ideal_time_change and three.targets[0].speedup_ci
    assert two.acc_diff_range and two.time_diff_range and not two.acc_diff_ci
    assert [reach.reached for reach in three.targets] == [3, 2, 3, 0]
    assert any(reach.speedup_at_least for row in full.rows for reach in row.targets)


def test_the_sheet_has_every_number_of_the_json_in_full(full: Comparison, read: Any, columns: Any) -> None:
    lines = {(line["pair"], line["strategy"]): line for line in read.csv(printed(full, "csv"))}
    told = json.loads(json.dumps(full.as_json(), allow_nan=False))
    for row in told["rows"]:
        line = lines[row["pair"], row["strategy"]]
        assert line["experiment"] == "book"
        for key, value in columns(row).items():
            assert line[key] == ("" if value is None else str(value)), key
    for row in told["transfers"][0]["rows"]:
        line, (down,) = lines["digits-cnn-digits", row["strategy"]], row["downstream"]
        assert float(line["upstream_loss"]) == row["upstream_loss"]
        assert float(line["mlp-digits_acc_final"]) == down["acc_final"]


def test_every_number_that_is_printed_is_the_value_behind_it(full: Comparison) -> None:
    numbers = [n for table in tables(full) for line in table.lines for cell in line.cells for n in cell.numbers]
    known = [number for number in numbers if number.value is not None]
    assert len(known) > 200
    for number in (number for number in known if number.key not in ("shown", "equivalent")):
        key = number.key.removeprefix("mlp-digits_").removeprefix("upstream_")
        plain = "_p" in key.replace("_parts", "") or key.startswith(("loss", "target", "seeds"))
        scale = 100 if (key.startswith(PERCENT) and not plain) or key.endswith("_share") else 1
        shown = number.text.replace(",", "").lstrip("+")
        digits = len(shown.partition(".")[2].partition("e")[0])
        tolerance = 1e-5 if plain and "." in shown and not key.startswith("target") else 0.5 * 10**-digits + 1e-9
        assert float(shown) == pytest.approx(scale * number.value, abs=tolerance, rel=5e-3 if plain else 0), number


def test_what_is_behind_a_cell_stands_in_it_or_nowhere(full: Comparison) -> None:
    for table in tables(full):
        for line in table.lines:
            assert len(line.cells) + 1 == len(table.header)
            for cell in line.cells:
                assert cell.numbers
                first = cell.numbers[0]
                assert first.text in cell.text or first.value is None or first.key.endswith(("_low", "_accuracy"))


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_every_finding_is_told_with_its_severity(full: Comparison, form: str) -> None:
    said = " ".join(printed(full, form).replace("\\", "").replace("*", "").replace("% ", "").split())
    for finding in full.findings:
        told = " ".join(finding.text.replace("*", "").replace("% ", "").split())
        assert f"{finding.severity}: {told}" in said


def test_notes_are_printed_once(full: Comparison) -> None:
    said = " ".join(printed(full, "text").split())
    assert said.count("nothing interpolated") == 1
    assert said.count("Accuracies in %") == 1
