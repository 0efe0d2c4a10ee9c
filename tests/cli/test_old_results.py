"""Results that kbench wrote at f826c3a: the commands give the numbers that they gave then."""

import csv
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "results-f826c3a.tar.gz"
FIGURES = ("curves", "epochs", "time", "hidden", "pareto", "speedup")
GEOMETRIC = {"train_s", "total_s", "seconds"}  # means over seeds, which were arithmetic
GEOMETRIC_IN_FIGURES = {("curves", "seconds"), ("pareto", "amount")}
GONE = {"acc_diff_p", "acc_diff_p_holm"}  # of best epochs; the final accuracy has them
RENAMED = {"beside": "background", "beside_s": "background_s"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with results/, oldimport.csv, and in expected/ what the commands printed."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a JSON tree by its path, under today's names."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield key, tree
    else:
        for name, value in items:
            yield from leaves(value, f"{key}.{RENAMED.get(name, name)}")


def numbers(tree: Any) -> dict[str, Any]:
    """The numbers of a JSON tree by their paths."""
    return {key: value for key, value in leaves(tree) if isinstance(value, int | float)}


@pytest.mark.parametrize("name", ["old", "oldimport"])
def test_compare_gives_the_same_numbers(name: str, old: Path, here) -> None:
    said = here("compare", name, "--format", "json", cwd=old)
    assert said.code == 0
    known, found = (
        numbers(json.loads(text)) for text in ((old / f"expected/compare-{name}.json").read_text(), said.out)
    )
    last = {key: key.rpartition(".")[2] for key in known}
    for key in known:
        if last[key] in GEOMETRIC:
            assert 0.9 * known[key] <= found[key] <= known[key] * (1 + 1e-9), key
        elif last[key] not in GONE:
            assert found[key] == pytest.approx(known[key], rel=1e-9), key


def test_status_gives_the_same_states_and_numbers(old: Path, here) -> None:
    said = here("status", "old", "--json", cwd=old)
    known = json.loads((old / "expected" / "status-old.json").read_text())
    found = json.loads(said.out)["runs"]
    assert [{key: run[key] for key in before} for run, before in zip(found, known["runs"], strict=True)] == known[
        "runs"
    ]
    assert all((run["disturbed"], run["redone"]) == (None, 0) for run in found)  # columns of then say nothing of it


def test_figures_show_the_same_numbers(old: Path, here) -> None:
    assert here("plot", "old", "--kind", "all", "--output", "figures", cwd=old).code == 0
    for name in FIGURES:
        known, found = (
            list(csv.DictReader((old / place / f"{name}.csv").read_text().splitlines()))
            for place in ("expected/figures", "figures")
        )
        found = [row for row in found if row.get("part") != "charged_s"]  # which no older kbench knows
        for before, row in zip(known, found, strict=True):
            for key, text in before.items():
                if (name, key) in GEOMETRIC_IN_FIGURES and row[key] != text:
                    assert 0.9 * float(text) < float(row[key]) < float(text), (name, key)
                else:
                    assert row[key] == RENAMED.get(text, text), (name, key)


@pytest.mark.parametrize("name", ["epochs.csv", "runs.csv"])
def test_tables_for_others_hold_the_same(name: str, old: Path, here) -> None:
    assert here("export", "csv", "old", "--output", "export", cwd=old).code == 0
    known, found = (
        list(csv.DictReader(path.read_text().splitlines()))
        for path in (old / "expected" / "export" / name, old / "export" / name)
    )
    assert [{key: row[RENAMED.get(key, key)] for key in known[0]} for row in found] == known


def test_the_report_names_the_accuracies_of_the_table(old: Path, here) -> None:
    assert here("report", "old", cwd=old).code == 0
    page = (old / "results" / "old" / "report.html").read_text()
    table = (old / "expected" / "compare-old.txt").read_text()
    accuracies = re.findall(r"(\d\d\.\d\d) ±", table)
    assert len(accuracies) == 6 and all(accuracy in page for accuracy in accuracies)


def test_a_log_that_was_imported_then_is_known_now(old: Path, here) -> None:
    said = here("import", "csv", "oldimport.csv", "--experiment", "oldimport", cwd=old)
    assert said.code == 0 and said.out.count("was there") == 7
    assert "0 of 7 runs are new" in said.err


def test_damaged_and_missing_runs_are_named_by_every_command_and_are_in_no_table(old: Path, here) -> None:
    runs = old / "results" / "old" / "runs"
    damaged = next(runs.glob("*.baseline.s0.*"))
    lines = (damaged / "epochs.jsonl").read_text().splitlines(keepends=True)
    (damaged / "epochs.jsonl").write_text("".join([*lines[:2], *lines[3:]]))
    absent = next(runs.glob("*.kakurenbo.s1.*"))
    for path in absent.iterdir():
        path.unlink()
    absent.rmdir()
    states = {run["run_id"]: run["state"] for run in json.loads(here("status", "old", "--json", cwd=old).out)["runs"]}
    assert (states[damaged.name], states[absent.name]) == ("damaged", "missing")
    compared = json.loads(here("compare", "old", "--format", "json", cwd=old).out)
    assert {row["strategy"]: row["seeds"] for row in compared["rows"]}["baseline"] == 2
    warnings = "\n".join(compared["warnings"])
    assert f"{damaged.name} is damaged: epochs.jsonl: line 3 holds epoch 3 of phase train, but epoch 2" in warnings
    assert absent.name in warnings
    drawn = here("plot", "old", "--output", "figures", cwd=old)
    assert f"{damaged.name} is damaged" in drawn.err and absent.name in drawn.err
    assert here("report", "old", cwd=old).code == 0
    page = (old / "results" / "old" / "report.html").read_text()
    assert f"{damaged.name} is damaged" in page and absent.name in page


def test_what_counts_does_not_hang_on_a_checkpoint(old: Path, here) -> None:
    before = here("compare", "old", "--format", "json", cwd=old).out
    (checkpoint,) = (old / "results" / "old").glob("runs/*/checkpoint.pt")
    checkpoint.unlink()
    assert here("gather", "old", cwd=old).code == 0
    assert here("compare", "old", "--format", "json", cwd=old).out == before
