"""Findings as a list: the gravest first, each said once; and how much the seeds can tell."""

from typing import Any

import pytest

from kbench.analysis.audit.audit import join_findings
from kbench.analysis.finding import note, warning

PAIR = "digits-cnn-digits"


def test_what_holds_for_several_pairs_is_said_once() -> None:
    found = join_findings(
        [note("dirty", "a: changed"), note("hosts", "a: other"), note("dirty", "b: changed")], ["a", "b"]
    )
    assert found == [note("dirty", "a, b: changed"), note("hosts", "a: other")]


def test_what_is_said_of_a_strategy_or_of_a_run_stays_as_it_is() -> None:
    told = [warning("hidden", "a / mine hid 1 %"), warning("failed", "run.s0 is failed: no"), note("x", "c: changed")]
    assert join_findings([*told, note("x", "a: changed")], ["a", "b"]) == [*told, note("x", "a: changed")]


def test_warnings_come_before_notes(three: Any, findings) -> None:
    three.run("baseline", 3, [0.9], [1.0], place={"dirty": True})
    three.run("mine", 3, [0.9], [1.0], place={"torch_version": "2.10"})
    severities = [finding.severity for finding in findings(three)]
    assert severities == ["warning", "note", "note"]


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        (1, "1 matched seed: no interval, no range; intervals take 3"),
        (2, "2 matched seeds: the range of the two is given, which is no interval; intervals take 3"),
    ],
)
def test_too_few_seeds_for_an_interval_are_told(book: Any, told, seeds: int, sentence: str) -> None:
    for seed in range(seeds):
        book.run("baseline", seed, [0.9], [1.0])
    assert told(book) == [f"{PAIR}: baseline: {sentence}"]


def test_one_strategy_is_one_question(three: Any, told) -> None:
    assert told(three, "several") == []


def test_several_strategies_are_several_questions_and_holm_tells_what_is_left(three: Any, findings) -> None:
    for seed, base in enumerate((10.0, 20.0, 40.0)):
        three.run("fast", seed, [0.5], [base * (0.5 + 0.001 * seed)])
        three.run("alike", seed, [0.5], [base * (0.9 + 0.1 * seed)])
    (found,) = findings(three, "several")
    assert found.severity == "note"
    assert found.text == (
        f"{PAIR}: 3 strategies are compared with baseline: up to 15 % that chance alone makes one of the 3 intervals "
        "of time miss its truth, and as much for accuracy; with all taken together (Holm, 5 %), final accuracy differs "
        "for none, time for fast"
    )
