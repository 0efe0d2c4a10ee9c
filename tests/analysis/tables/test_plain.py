"""Tables on a terminal."""

import re
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.finding import warning
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.layout import tables
from kbench.analysis.tables.plain import WIDTH, aligned, text
from kbench.analysis.time_to_target import parse_target


def test_columns_stand_under_one_another() -> None:
    assert aligned([("a", "bb", "c"), ("long", "1", "22")]) == "a     bb   c\n------------\nlong   1  22"


def test_each_pair_has_its_tables_under_titles(full: Comparison) -> None:
    lines = text(tables(full)).splitlines()
    for title in (
        "book: digits-cnn-digits, compared with baseline",
        "book: mlp-digits, compared with baseline",
        "mlp-digits: time to target",
        "mlp-digits: samples of a run",
        "mlp-digits: where the time went",
        "book: digits-cnn-digits, then mlp-digits, compared with baseline",
    ):
        assert lines.count(title) == 1


def test_targets_are_headed_in_percent_and_errors_by_what_they_mean(book: Any) -> None:
    book.run("baseline", 0, [0.9], [1.0])
    found = compare(book.frames(), baseline="baseline", targets=[0.8, 0.905, parse_target("final*1.1")])
    header = r"^time to +80 % +speed-up +90.5 % +speed-up +final\*1.1 \(89 %\) +speed-up$"
    assert re.search(header, text(tables(found)), re.MULTILINE)


def test_the_default_experiment_s_tables_fit_a_terminal_of_120_columns(book: Any) -> None:
    for strategy in ("baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo"):
        for seed in range(3):
            times = [60.0 + seed**2, 60.0]
            parts = {f"{part}_s": 12.34 for part in ("plan", "data", "forward", "backward", "update", "select", "sync")}
            book.run(strategy, seed, [0.9, 0.9 + 0.01 * seed], times, **parts, refresh_s=5.0, background_s=10.0)
    found = text(tables(compare(book.frames(), baseline="baseline", targets=[0.97, 0.98])))
    assert max(map(len, found.splitlines())) <= 120


@pytest.mark.parametrize("indent", range(95, 112))
def test_a_number_stays_with_its_unit(indent: int) -> None:
    told = text([], [warning("control", f"{'x' * indent} 12.3 % time")])
    assert "12.3 %" in told


@pytest.mark.parametrize("length", [30, 300])
def test_a_finding_is_wrapped_and_stays_whole(length: int) -> None:
    words = " ".join(["digits-cnn-digits.baseline.s0.f8ca952f"] * (length // 38 + 1))
    told = text([], [warning("failed", words)])
    assert max(map(len, told.splitlines())) <= WIDTH
    assert " ".join(told.split()) == f"warning: {words}"


def test_what_is_no_accuracy_is_called_by_its_name(book: Any) -> None:
    for seed in range(3):
        for strategy in ("baseline", "mine"):
            book.run(strategy, seed, [0.7 + 0.01 * seed], [5.0], place={"metric": "mean_iou"})
            book.run(strategy, seed, [0.7], [5.0], model="down", upstream="digits-cnn", place={"metric": "mean_iou"})
    comparison = compare(book.frames(), baseline="baseline", targets=[])
    found = text(tables(comparison), comparison.findings)
    assert "strategy  seeds  final mean IoU" in found
    assert "Mean IoU in %, mean over seeds" in found
    assert "down-digits: final mean IoU" in found
    assert "acc" not in found


def test_staging_is_shared_by_the_runs_of_a_pair_and_in_the_total_of_where_the_time_went(book: Any) -> None:
    book.run("baseline", 0, [0.7], [5.0], eval_s=2.0, place={"stage_s": 30.0})
    book.run("mine", 0, [0.7], [4.0], eval_s=2.0)
    comparison = compare(book.frames(), baseline="baseline", targets=[])
    (parts,) = (table for table in tables(comparison) if table.kind == "parts")
    assert parts.header[-3:] == ("eval", "stage", "total")
    assert [[cell.text for cell in line.cells[-3:]] for line in parts.lines] == [
        ["2.00", "15.00", "22.00"],
        ["2.00", "15.00", "21.00"],
    ]
    assert [(row.stage_s, row.total_s) for row in comparison.rows] == [(15.0, 22.0), (15.0, 21.0)]


def test_a_seed_that_staged_nothing_beside_one_that_did_counts_as_no_time(book: Any) -> None:
    for seed, place in enumerate(({"stage_s": 30.0}, {})):
        book.run("baseline", seed, [0.7], [5.0], eval_s=2.0, place=place)
    (row,) = compare(book.frames(), baseline="baseline", targets=[]).rows
    assert (row.stage_s, row.total_s) == (15.0, 22.0)
