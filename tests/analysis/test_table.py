"""A comparison as text: the same numbers as in JSON, in a person's units."""

import re
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.table import aligned, text

Cells = dict[str, list[str]]


def tables(found: str) -> list[Cells]:
    """The cells of each table of a text, by the first of their row."""
    blocks = [block.splitlines() for block in found.split("\n\n") if "\n---" in block]
    return [{cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line) for line in block)} for block in blocks]


@pytest.fixture
def three(book: Any) -> Any:
    """Three seeds with intervals; one of them misses 90 %."""
    for seed, (accuracy, seconds) in enumerate([(0.91, 5.0), (0.88, 16.0), (0.93, 6.25)]):
        book.run("baseline", seed, [0.5, 0.9], [5.0, 5.0], n_scored=7, forward_s=2.0)
        book.run("mine", seed, [0.5, accuracy], [1.0, seconds - 1], n_hidden=25, n_trained=1175, n_refreshed=25)
    return book


def test_text_and_json_show_the_same_numbers(three: Any) -> None:
    comparison = compare(three.frames(), baseline="baseline", targets=[])
    (table,) = tables(text(comparison))
    for row in comparison.as_json()["rows"]:
        looked_at = row["n_scored"] + row["n_refreshed"]
        expected = [
            str(row["seeds"]),
            f"{100 * row['acc_best']:.2f} ±{100 * row['acc_best_sd']:.2f}",
            f"{100 * row['acc_final']:.2f}",
        ]
        if row["strategy"] == "baseline":
            expected += ["-", f"{row['train_s']:.2f}", "-", "-"]
        else:
            acc, time = row["acc_diff_ci"], row["time_diff_ci"]
            expected += [
                f"{100 * row['acc_diff']:+.2f}",
                f"[{100 * acc[0]:+.2f}, {100 * acc[1]:+.2f}]",
                f"{row['train_s']:.2f}",
                f"{100 * row['time_diff']:+.1f} %",
                f"[{100 * time[0]:+.1f}, {100 * time[1]:+.1f}]",
                f"{100 * row['time_ceiling']:+.1f} %",
            ]
        expected += [f"{100 * row['hidden_mean']:.1f} %", f"{row['n_trained']:,}", f"{looked_at:,}"]
        assert table[row["strategy"]] == expected


def test_counts_and_shares_are_printed_as_worked_out_by_hand(three: Any) -> None:
    (table,) = tables(text(compare(three.frames(), baseline="baseline", targets=[])))
    assert table["mine"][-3:] == ["25.0 %", "2,350", "50"]
    assert table["baseline"][-3:] == ["0.0 %", "200", "14"]


def test_a_target_that_not_every_seed_reached_is_counted(three: Any) -> None:
    _, targets = tables(text(compare(three.frames(), baseline="baseline", targets=[0.9])))
    assert targets["mine"] == ["not reached (2 of 3)", "-"]
    assert targets["baseline"] == ["10.00 s", "-"]


def test_a_target_that_every_seed_reached_has_seconds_and_a_speed_up(three: Any) -> None:
    comparison = compare(three.frames(), baseline="baseline", targets=[0.8])
    _, targets = tables(text(comparison))
    (reach,) = comparison.as_json()["rows"][1]["targets"]
    low, high = reach["speedup_ci"]
    assert targets["mine"] == ["9.08 s", f"{reach['speedup']:.2f}x", f"[{low:.2f}, {high:.2f}]"]


def test_targets_are_headed_in_percent(three: Any) -> None:
    found = text(compare(three.frames(), baseline="baseline", targets=[0.8, 0.905]))
    assert re.search(r"^time to +80 % +speed-up +90.5 % +speed-up$", found, re.MULTILINE)


def test_every_warning_is_a_note(book: Any) -> None:
    book.run("baseline", 0, [0.9], [1.0])
    run_id = book.run("baseline", 1, [0.9], [1.0], fails="no more")
    found = text(compare(book.frames(), baseline="baseline", targets=[]))
    assert f"note: {run_id} is failed: no more; not in the table" in found.splitlines()
    assert "note: digits-cnn-digits: baseline: 1 matched seed, and intervals take 3" in found.splitlines()


def test_each_pair_has_its_table(book: Any) -> None:
    for model in ("digits-cnn", "mlp"):
        book.run("baseline", 0, [0.9], [1.0], model=model)
    found = text(compare(book.frames(), baseline="baseline", targets=[]))
    assert len(tables(found)) == 2
    assert "book: mlp-digits, compared with baseline" in found.splitlines()


def test_columns_stand_under_one_another() -> None:
    assert aligned([("a", "bb", "c"), ("long", "1", "22")]) == "a     bb   c\n------------\nlong   1  22"
