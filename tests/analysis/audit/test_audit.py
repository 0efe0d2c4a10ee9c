"""Findings as a list: the gravest first, each said once."""

from typing import Any

from kbench.analysis.audit.audit import joined
from kbench.analysis.finding import note, warning


def test_what_holds_for_several_pairs_is_said_once() -> None:
    found = joined([note("dirty", "a: changed"), note("hosts", "a: other"), note("dirty", "b: changed")], ["a", "b"])
    assert found == [note("dirty", "a, b: changed"), note("hosts", "a: other")]


def test_what_is_said_of_a_strategy_or_of_a_run_stays_as_it_is() -> None:
    told = [warning("hidden", "a / mine hid 1 %"), warning("failed", "run.s0 is failed: no"), note("x", "c: changed")]
    assert joined([*told, note("x", "a: changed")], ["a", "b"]) == [*told, note("x", "a: changed")]


def test_warnings_come_before_notes(three: Any, findings) -> None:
    three.run("baseline", 3, [0.9], [1.0], place={"dirty": True})
    three.run("mine", 3, [0.9], [1.0], place={"torch_version": "2.10"})
    severities = [finding.severity for finding in findings(three)]
    assert severities == ["warning", "note", "note"]
