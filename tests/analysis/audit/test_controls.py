"""A method is worth its name if it does better than hiding at random and than stopping earlier."""

from typing import Any

import pytest

from kbench.analysis.roles import role_in

PAIR = "digits-cnn-digits"


NOISE = (0.0, 0.001, -0.001)


def runs(book: Any, **of: tuple[float, float]) -> Any:
    """Three seeds; each strategy's accuracy and time, with a spread of a tenth of a point and a percent."""
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        for place, (strategy, (accuracy, seconds)) in enumerate(of.items()):
            noise = NOISE[(seed + place) % 3]
            book.run(strategy, seed, [accuracy + noise], [seconds * (1 + 10 * noise)])
    return book


def test_a_method_that_is_shown_to_be_worse_than_its_control_is_warned_about(book: Any, findings) -> None:
    found = findings(runs(book, random=(0.89, 7.0), budget=(0.88, 7.5), mine=(0.85, 8.4)), "control")
    assert [finding.severity for finding in found] == ["warning", "warning"]
    assert {finding.text for finding in found} == {
        f"{PAIR}: mine: not shown to beat budget (shown to be worse)",
        f"{PAIR}: mine: not shown to beat random (shown to be worse)",
    }


def test_a_method_that_is_not_shown_to_be_better_is_noted(book: Any, findings) -> None:
    (found,) = findings(runs(book, random=(0.89, 7.0), mine=(0.8905, 7.05)), "control")
    assert (found.severity, found.text) == ("note", f"{PAIR}: mine: not shown to beat random (not shown to be better)")


def test_a_method_that_is_shown_to_be_better_in_both_has_no_finding(book: Any, told) -> None:
    assert told(runs(book, random=(0.89, 7.0), mine=(0.92, 6.0)), "control") == []


def test_a_method_without_an_interval_is_not_shown_to_beat_its_control(book: Any, told) -> None:
    book.run("baseline", 0, [0.9], [10.0])
    book.run("random", 0, [0.9], [7.0])
    book.run("mine", 0, [0.99], [1.0])
    assert told(book, "control") == [f"{PAIR}: mine: not shown to beat random (no interval)"]


def test_a_control_is_known_by_its_name_whatever_its_label(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("anybody", seed, [0.9], [7.0], name="random")
        book.run("mine", seed, [0.8], [8.0])
    assert told(book, "control") == [f"{PAIR}: mine: not shown to beat anybody (no interval)"]


def test_a_label_that_begins_like_a_control_makes_none(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("random", seed, [0.9], [7.0])
        book.run("randomised-kakurenbo", seed, [0.8], [8.0], name="kakurenbo")
    assert told(book, "control") == [f"{PAIR}: randomised-kakurenbo: not shown to beat random (no interval)"]


def test_the_role_on_record_counts_where_the_class_cannot_be_loaded_any_more(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0])
        book.run("coin", seed, [0.9], [7.0], name="no_such_module:Coin", role="control")
        book.run("gone", seed, [0.8], [8.0], name="no_such_module:Gone")
    assert told(book, "control") == [
        f"{PAIR}: no run hides at random; whether gone do better is not known",
        f"{PAIR}: gone: not shown to beat coin (no interval)",
    ]


@pytest.mark.parametrize(
    ("label", "role"),
    [("random", "control"), ("budget", "control"), ("baseline", "baseline"), ("sb", "method"), ("random-30", "method")],
)
def test_an_imported_run_has_the_role_of_the_strategy_that_its_label_names(label: str, role: str) -> None:
    assert role_in(None, label) == role


def test_without_random_hiding_it_is_not_known_whether_methods_do_better(book: Any, findings) -> None:
    (found,) = findings(runs(book, budget=(0.5, 9.0), mine=(0.9, 5.0)), "control")
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
