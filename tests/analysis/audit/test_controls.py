"""A method is worth its name if it does better than hiding at random and than stopping earlier."""

from typing import Any

import pytest

from kbench.analysis.audit.controls import role_in

PAIR = "digits-cnn-digits"


def runs(book: Any, **of: tuple[float, float]) -> Any:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        for strategy, (accuracy, seconds) in of.items():
            book.run(strategy, seed, [accuracy], [seconds])
    return book


def test_a_method_that_is_neither_better_nor_faster_did_not_beat_its_control(book: Any, findings) -> None:
    made = runs(book, random=(0.89, 7.0), budget=(0.88, 7.5), mine=(0.87, 8.4), yours=(0.89, 7.0))
    found = findings(made, "control")
    assert [finding.severity for finding in found] == ["warning", "warning"]
    assert {finding.text for finding in found} == {
        f"{PAIR}: did not beat random (accuracy not better, time not less): "
        "mine (-2.00 points, +20.0 % time), yours (+0.00 points, +0.0 % time)",
        f"{PAIR}: did not beat budget (accuracy not better, time not less): mine (-1.00 points, +12.0 % time)",
    }


def test_a_method_that_is_better_or_faster_than_its_control_has_something_for_itself(book: Any, told) -> None:
    assert told(runs(book, random=(0.89, 7.0), mine=(0.895, 9.0), yours=(0.5, 6.9)), "control") == []


def test_a_control_is_known_by_its_name_whatever_its_label(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("anybody", seed, [0.9], [7.0], name="random")
        book.run("mine", seed, [0.8], [8.0])
    assert told(book, "control")[0].startswith(f"{PAIR}: did not beat anybody (")


def test_a_label_that_begins_like_a_control_makes_none(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("random", seed, [0.9], [7.0])
        book.run("randomised-kakurenbo", seed, [0.8], [8.0], name="kakurenbo")
    assert told(book, "control") == [
        f"{PAIR}: did not beat random (accuracy not better, time not less): "
        "randomised-kakurenbo (-10.00 points, +14.3 % time)"
    ]


def test_the_role_on_record_counts_where_the_class_cannot_be_loaded_any_more(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("coin", seed, [0.9], [7.0], name="no_such_module:Coin", role="control")
        book.run("gone", seed, [0.8], [8.0], name="no_such_module:Gone")
    assert f"{PAIR}: no run hides at random; whether gone do better is not known" in told(book, "control")
    assert any(text.startswith(f"{PAIR}: did not beat coin (") for text in told(book, "control"))


@pytest.mark.parametrize(
    ("label", "role"),
    [("random", "control"), ("budget", "control"), ("baseline", "baseline"), ("sb", "method"), ("random-30", "method")],
)
def test_an_imported_run_has_the_role_of_the_strategy_that_its_label_names(label: str, role: str) -> None:
    assert role_in(None, label) == role


def test_without_random_hiding_it_is_not_known_whether_methods_do_better(book: Any, findings) -> None:
    (found,) = findings(runs(book, budget=(0.5, 5.0), mine=(0.9, 9.0)), "control")
    assert found.severity == "note"
    assert found.text == f"{PAIR}: no run hides at random; whether mine do better is not known"


def test_random_hiding_as_the_baseline_is_there(book: Any, told) -> None:
    assert told(runs(book, random=(0.89, 7.0), mine=(0.8, 8.0)), "control", baseline="random") == []


def test_controls_and_the_baseline_again_are_no_methods(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("again", seed, [0.9], [10.0], name="baseline")
        book.run("budget", seed, [0.8], [12.0])
    assert told(book, "control") == []
