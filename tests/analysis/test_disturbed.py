"""Times of disturbed runs are in no table and no figure unless they are asked for; their accuracies are in all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison, Row
from kbench.analysis.tables.layout import document, tables
from kbench.analysis.tables.registry import FORMATS, table_format
from kbench.figures.draw import draw_figures

TARGETS = ["0.8"]
NAMED = (
    "digits-cnn-digits: iswr s0 took 574.5 s, its other seeds 3.4 and 3.7; it had 12 % of its processors, they up to "
    "99 %; its time is left out, its accuracy counts"
)


@pytest.fixture
def busy(book: Any) -> Frames:
    """Three seeds of two strategies; others took the processors of iswr's first run."""
    for seed, seconds in enumerate((4.0, 4.2, 4.4)):
        book.run("baseline", seed, [0.7, 0.9], [seconds / 2] * 2, cpu_share=0.99, cpu_s=seconds, eval_s=0.5)
    for seed, (seconds, share) in enumerate(((574.5, 0.12), (3.4, 0.99), (3.7, 0.98))):
        book.run("iswr", seed, [0.7 + seed / 100, 0.9], [seconds / 2] * 2, cpu_share=share, cpu_s=3.5, eval_s=0.5)
    frames: Frames = book.frames()
    return frames


def compared(frames: Frames, **changes: Any) -> Comparison:
    return compare(replace(frames, **changes), baseline="baseline", targets=TARGETS)


def row_of(comparison: Comparison, strategy: str = "iswr") -> Row:
    return next(row for row in comparison.rows if row.strategy == strategy)


def test_the_disturbed_run_alone_is_named_with_its_figures(busy: Frames) -> None:
    found = [finding for finding in compared(busy).findings if finding.kind == "disturbed"]
    assert [(finding.severity, finding.text) for finding in found] == [("warning", NAMED)]
    assert [run.epochs for run in busy.disturbed.values()] == [(1, 2)]


def test_its_time_is_left_out_and_its_accuracy_stays(busy: Frames) -> None:
    row = row_of(compared(busy))
    assert (row.seeds, row.timed_seeds) == (3, 2)
    assert row.acc_final == pytest.approx(0.9) and row.acc_final_diff_ci is None  # no spread
    assert row.train_s == pytest.approx((3.4 * 3.7) ** 0.5) and row.train_s_base == pytest.approx((4.2 * 4.4) ** 0.5)
    assert row.time_diff == pytest.approx((3.4 / 4.2 * 3.7 / 4.4) ** 0.5 - 1) and row.time_diff_ci is None
    assert row.time_diff_range == pytest.approx((3.4 / 4.2 - 1, 3.7 / 4.4 - 1))
    assert row.time_parts["forward"].seconds == 0.0
    (target,) = row.targets
    assert (target.reached, target.seconds) == (3, pytest.approx((3.4 * 3.7) ** 0.5))
    assert target.speedup == pytest.approx((4.2 / 3.4 * 4.4 / 3.7) ** 0.5)


def test_it_can_be_shown_and_is_named_all_the_same(busy: Frames) -> None:
    comparison = compared(busy, keep_disturbed=True)
    row = row_of(comparison)
    assert (row.timed_seeds, comparison.keeps_disturbed) == (3, True)
    assert row.train_s == pytest.approx((574.5 * 3.4 * 3.7) ** (1 / 3)) and row.time_diff_ci is not None
    (text,) = [finding.text for finding in comparison.findings if finding.kind == "disturbed"]
    assert text.endswith("its time counts all the same (--keep-disturbed)")


def test_a_disturbed_run_of_the_baseline_takes_its_seed_from_every_strategy(book: Any) -> None:
    for strategy in ("baseline", "mine"):
        for seed in range(4):
            slow = strategy == "baseline" and seed == 0
            book.run(strategy, seed, [0.9], [40.0 if slow else 4.0 + seed], cpu_share=0.1 if slow else 0.9)
    comparison = compared(book.frames())
    assert [row.timed_seeds for row in comparison.rows] == [3, 3]
    assert row_of(comparison, "mine").time_diff == pytest.approx(0.0)


def test_where_all_runs_of_a_strategy_were_disturbed_it_has_no_time_and_that_is_stated(book: Any) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [4.0 + seed], cpu_share=0.9, cpu_wait_s=0.0, others_share=0.0)
        book.run("mine", seed, [0.9], [9.0 + seed], cpu_share=0.5, cpu_wait_s=9.0, others_share=0.5)
    comparison = compared(book.frames())
    row = row_of(comparison, "mine")
    assert (row.seeds, row.timed_seeds, row.acc_final) == (3, 0, 0.9)
    times = (row.train_s, row.time_diff, row.total_s, row.total_diff, row.cpu_s, row.saves_at_least)
    assert set(times) == {None} and row.targets[0].seconds is None and row.targets[0].reached == 3
    assert any("no time of mine is left" in warning for warning in comparison.warnings)
    accuracy = next(table for table in tables(comparison) if table.kind == "accuracy")
    place = accuracy.header.index("train s") - 1
    assert [line.cells[place].text for line in accuracy.lines] == ["4.93", "-"]


def test_unknown_shares_leave_every_time_in(book: Any) -> None:
    for seed, seconds in enumerate((574.5, 3.4, 3.7)):
        book.run("baseline", seed, [0.9], [seconds])
    comparison = compared(book.frames())
    assert (row_of(comparison, "baseline").timed_seeds, comparison.disturbed) == (3, ())


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "csv"])
def test_every_format_states_what_was_left_out(form: str, busy: Frames) -> None:
    text = table_format(form).render(document(compared(busy)))
    if form == "json":
        (run,) = json.loads(text)["disturbed"]
        assert (run["run_id"], run["train_s"], run["siblings_s"]) == (*busy.disturbed, 574.5, [3.4, 3.7])
        assert json.loads(text)["keeps_disturbed"] is False
    else:
        plain = " ".join(text.replace("\\", "").split())
        assert (
            "Times of disturbed runs are left out, accuracies are not: iswr s0. Seeds with times of both: iswr 2 of 3."
            in plain
        )


def test_csv_has_the_number_of_timed_seeds_and_all_clocks(busy: Frames) -> None:
    head, _, iswr = table_format("csv").render(document(compared(busy))).splitlines()
    values = dict(zip(head.split(","), iswr.split(","), strict=True))
    assert (values["seeds"], values["timed_seeds"]) == ("3", "2")
    assert float(values["cpu_s"]) == 7.0 and float(values["cpu_diff"]) == pytest.approx(
        7.0 / (2 * (4.2 * 4.4) ** 0.5) - 1
    )
    assert float(values["total_s"]) == pytest.approx((4.4 * 4.7) ** 0.5)
    assert float(values["total_diff"]) == pytest.approx((4.4 / 5.2 * 4.7 / 5.4) ** 0.5 - 1)
    assert float(values["total_diff_range_low"]) == pytest.approx(4.4 / 5.2 - 1)


def test_targets_are_reached_on_either_clock(busy: Frames) -> None:
    quiet = [row_of(compared(busy, clock=clock), "baseline").targets[0].seconds for clock in ("train", "total")]
    assert quiet == pytest.approx([(4.0 * 4.2 * 4.4) ** (1 / 3), (5.0 * 5.2 * 5.4) ** (1 / 3)])


def test_gpu_runs_have_no_processor_time_in_the_table(book: Any) -> None:
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [4.0], place={"n_devices": 1})
    comparison = compared(book.frames())
    assert {row.cpu_s for row in comparison.rows} == {None}
    clocks = next(table for table in tables(comparison) if table.kind == "clocks")
    assert "CPU s" not in clocks.header and "total s" in clocks.header


def test_figures_of_time_are_without_it_and_figures_of_accuracy_with_it(busy: Frames, tmp_path: Path) -> None:
    import pandas as pd

    kinds = ["curves", "epochs", "pareto", "time"]
    drawn = draw_figures(busy, compared(busy), kinds, tmp_path)
    curves, epochs, pareto, time = (pd.read_csv(tmp_path / f"{kind}.csv") for kind in kinds)
    assert curves[curves.strategy == "iswr"].seeds.tolist() == [2, 2]
    assert epochs[epochs.strategy == "iswr"].seeds.tolist() == [3, 3]
    seeds = pareto[(pareto.strategy == "iswr") & pareto.seed.notna()]
    assert seeds.groupby("cost").seed.count().to_dict() == {"n_trained": 3, "total_train_s": 2}
    assert time[time.strategy == "iswr"].train_s.max() < 4
    assert drawn.disturbed.startswith("Times of disturbed runs are left out") and "iswr s0" in drawn.disturbed
