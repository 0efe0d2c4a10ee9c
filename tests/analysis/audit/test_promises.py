"""What a strategy said that it would do, beside what it did."""

from typing import Any

import pytest

from kbench.analysis.time_to_target import target_of

PAIR = "digits-cnn-digits"


def hiding(book: Any, **columns: float) -> Any:
    for seed in range(3):
        book.run("baseline", seed, [0.9], [10.0 + seed])
        book.run("mine", seed, [0.9], [10.0], **columns)
    return book


def test_a_strategy_that_hid_far_less_than_it_allowed_itself_is_told(book: Any, findings) -> None:
    (found,) = findings(hiding(book, n_hidden=12, ceiling=0.3), "hidden")
    assert found.severity == "warning"
    assert found.text == f"{PAIR} / mine hid 12.0 % of the samples of an epoch, where it allowed itself 30.0 %"


@pytest.mark.parametrize("columns", [{"n_hidden": 20, "ceiling": 0.3}, {"n_hidden": 0}, {"n_hidden": 0, "ceiling": 0}])
def test_a_strategy_that_did_as_it_said_or_said_nothing_is_not_told(book: Any, told, columns: dict[str, float]) -> None:
    assert told(hiding(book, **columns), "hidden") == []


def test_a_learning_rate_scaled_for_samples_that_were_not_hidden_is_told(book: Any, findings) -> None:
    (found,) = findings(hiding(book, n_hidden=10, lr_scale=1.25), "lr-scale")
    assert found.severity == "warning"
    assert found.text == (
        f"{PAIR} / mine multiplied its learning rate by 1.250 on average where it did, what it hid then asks for 1.111"
    )


@pytest.mark.parametrize("columns", [{"n_hidden": 20, "lr_scale": 1.25}, {"n_hidden": 0, "lr_scale": 1.04}, {}])
def test_a_learning_rate_that_follows_what_is_hidden_is_not_told(book: Any, told, columns: dict[str, float]) -> None:
    assert told(hiding(book, **columns), "lr-scale") == []


def test_an_error_that_every_run_reaches_is_told(three: Any, told) -> None:
    assert told(three, "target", targets=[target_of("final*9")]) == [
        f"{PAIR}: final*9 is an error of 100 % or more; every run reaches it"
    ]
    assert told(three, "target", targets=[target_of("final*1.1"), 0.5]) == []
