"""Printed cells held against imported logs: supported, contradicted, undecided."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kbench.analysis.frame import Frames, load
from kbench.papers.log_evidence import JudgedCell, evidence_findings, judge_cells
from kbench.papers.publications import Publication
from kbench.records import imported
from kbench.records.folders import ExperimentDir
from kbench.records.imported import File, Imported
from kbench.records.liveness import state_of
from kbench.records.store import Tables, gather

Put = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return ExperimentDir(tmp_path / "theirs")


@pytest.fixture
def put(folder: ExperimentDir) -> Put:
    """Import a run of 3 epochs that ends with what is given, counts being alike: ``put("sb", val_acc1=0.5)``."""

    def make(strategy: str, *, epochs: int = 3, state: str = "done", error: str = "", **last: float) -> None:
        before = {name: value if isinstance(value, int) else 0.1 for name, value in last.items()}
        rows: list[dict[str, Any]] = [{"phase": "train", "epoch": n, **before} for n in range(epochs)]
        rows[-1].update(last)
        facts = {
            "experiment": "theirs", "pair": "p", "strategy": strategy, "seed": 0, "format": "csv", "run": strategy,
            "files": (File(path="x.csv", sha256="0" * 64),), "digest": imported.digest(rows), "state": state,
            "error": error or None, "kbench_version": "1", "imported_at": datetime(2026, 1, 2, tzinfo=UTC),
        }  # fmt: skip
        imported.write(folder, Imported.model_validate(facts), rows)

    return make


def paper(
    cells: Sequence[dict[str, Any]], *, quantity: str = "final_acc", unit: str = "%", logs: Any = (), **changes: Any
) -> Publication:
    table = {"where": "Table 1", "pair": "p", "quantity": quantity, "unit": unit, "source": "it", "cells": cells}
    workloads = {"p": {"model": "m", "dataset": "d", "epochs": 3}}
    facts = {"id": "paper", "title": "A paper", "cite": "it", "read": "all", "workloads": workloads, "logs": logs}
    return Publication.model_validate({**facts, "tables": [table | changes]})


def frames_of(folder: ExperimentDir) -> Frames:
    gather(folder, state_of)
    return load(Tables.of(folder))


def verdicts(folder: ExperimentDir, publication: Publication) -> dict[str, JudgedCell]:
    return {one.cell.strategy: one for one in judge_cells(frames_of(folder), [publication])}


CELLS = [{"strategy": "baseline", "value": "80.0"}, {"strategy": "sb", "value": "79.0", "diff": "-1.0"}]


def test_a_log_that_rounds_to_the_cell_supports_it(folder: ExperimentDir, put: Put) -> None:
    put("baseline", val_acc1=0.80049)
    put("sb", val_acc1=0.7894)
    found = verdicts(folder, paper(CELLS))
    assert (found["baseline"].verdict, found["baseline"].why) == ("supported", "equals baseline's last epoch")
    assert (found["sb"].verdict, found["sb"].why) == ("contradicted", "equals no run's")


def test_a_cell_that_prints_another_runs_value_says_whose(folder: ExperimentDir, put: Put) -> None:
    put("baseline", val_acc1=0.81)
    put("sb", val_acc1=0.80)
    one = verdicts(folder, paper(CELLS))["baseline"]
    assert (one.verdict, one.equal) == ("contradicted", "sb")


def test_a_partial_log_decides_nothing(folder: ExperimentDir, put: Put) -> None:
    put("baseline", epochs=2, val_acc1=0.80)
    put("sb", val_acc1=0.79, state="interrupted", error="its log ends after 2 of 3 epochs")
    found = verdicts(folder, paper(CELLS))
    assert (found["baseline"].verdict, found["baseline"].why) == ("undecided", "its log has 2 of 3 epochs")
    assert (found["sb"].verdict, found["sb"].why) == ("undecided", "its log ends after 2 of 3 epochs")


def test_a_strategy_that_stands_for_another_is_its_log(folder: ExperimentDir, put: Put) -> None:
    put("baseline", val_acc1=0.80)
    put("sb-2", val_acc1=0.79)
    known = {"run": "x", "pair": "p", "strategy": "sb-2", "stands_for": "sb", "about": "named so"}
    publication = paper(CELLS, logs=[known])
    assert verdicts(folder, publication)["sb"].why == "equals sb-2's last epoch"
    told = [
        finding.text for finding in evidence_findings(frames_of(folder), judge_cells(frames_of(folder), [publication]))
    ]
    assert "paper: the log of sb-2: named so" in told


def test_the_best_epoch_supports_a_cell_as_well_and_says_so(folder: ExperimentDir, put: Put) -> None:
    put("baseline", epochs=1, val_acc1=0.80)
    put("sb", epochs=3, val_acc1=0.05)
    found = verdicts(folder, paper([CELLS[0], {"strategy": "sb", "value": "10.0"}]))
    assert found["sb"].why == "equals sb's best epoch"


@pytest.mark.parametrize(
    "minutes, verdict, why",
    [
        (100.0, "supported", "equals a's log"),
        (99.0, "supported", "a's epochs sum up to 99.0 % of it"),
        (96.0, "supported", "a's epochs sum up to 96.0 % of it"),
        (90.0, "undecided", "a's epochs sum up to 90.0 % of it"),
        (102.0, "contradicted", "a's epochs alone take 102.0 min"),
    ],
)
def test_a_total_time_may_hold_more_than_the_epochs_never_less(
    minutes: float, verdict: str, why: str, folder: ExperimentDir, put: Put
) -> None:
    put("a", train_s=60 * minutes - 0.2)  # two epochs of 0.1 s before
    one = verdicts(folder, paper([{"strategy": "a", "value": "100"}], quantity="time", unit="min"))["a"]
    assert (one.verdict, one.why) == (verdict, why)


def test_losses_are_held_too(folder: ExperimentDir, put: Put) -> None:
    put("a", train_loss=3.591)
    loss = paper([{"strategy": "a", "value": "3.59"}], quantity="loss", unit="nat")
    assert verdicts(folder, loss)["a"].verdict == "supported"


def test_what_its_log_does_not_tell_is_undecided_and_not_shown_alone(folder: ExperimentDir, put: Put) -> None:
    put("a", val_acc1=0.5)
    assert verdicts(folder, paper([{"strategy": "a", "value": "3.59"}], quantity="loss", unit="nat")) == {}


def test_numbers_computed_from_the_logs_are_not_held_against_them(folder: ExperimentDir, put: Put) -> None:
    put("baseline", val_acc1=0.5)
    assert verdicts(folder, paper(CELLS, log="chart.csv")) == {}


def test_with_a_wrong_baseline_all_differences_are_set_right(folder: ExperimentDir, put: Put) -> None:
    put("baseline", val_acc1=0.8096)
    put("sb", val_acc1=0.7904)  # what is logged counts, not what was rounded for print
    cells = [*CELLS, {"strategy": "iswr", "value": "79.5", "diff": "-0.5"}]
    frames = frames_of(folder)
    told = [finding.text for finding in evidence_findings(frames, judge_cells(frames, [paper(cells)]))]
    assert told == [
        "paper, Table 1, p: the printed baseline, 80.0, is not the last accuracy of baseline's run (81.0)",
        "paper, Table 1, p: with the baseline run's 81.0 the differences change: sb's is -1.9, not -1.0; iswr's is "
        "-1.5, not -0.5 (from its printed value)",
    ]


def test_a_method_whose_log_hides_nobody_is_said_to_be_a_baseline(folder: ExperimentDir, put: Put) -> None:
    for strategy, hidden in (("forget", 0), ("kakurenbo", 30), ("baseline", 0)):
        put(strategy, n_hidden=hidden, n_samples=100, train_s=40)
    frames = frames_of(folder)
    told = [finding.text for finding in evidence_findings(frames, [])]
    assert told == [
        "p / forget: by its log it hid nothing (3 of 3 epochs tell), and trained as a baseline does; it took 2 minutes"
    ]
