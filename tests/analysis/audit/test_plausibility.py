"""Times, hidden shares and learning rates that the samples do not explain."""

from collections.abc import Sequence
from typing import Any

import pytest

from kbench.analysis.time_to_target import parse_target

PAIR = "digits-cnn-digits"
STEP = {"forward_s": 3.0, "backward_s": 5.0, "update_s": 2.0}


@pytest.fixture
def saving(book: Any) -> Any:
    """Runs that trained on 90 of 100 samples and took these seconds; the baseline took 10."""

    def made(*seconds: float) -> Any:
        for seed, own in enumerate(seconds):
            book.run("baseline", seed, [0.9], [10.0], forward_s=4.0)
            book.run("mine", seed, [0.9], [own], n_trained=90)
        return book

    return made


def test_savings_that_the_samples_cannot_explain_are_not_believed(saving, findings) -> None:
    (found,) = findings(saving(4.9, 5.0, 5.1), "ceiling")
    assert found.severity == "warning"
    assert found.text.startswith(f"{PAIR} / mine: its time changed by ")
    assert "its samples explain -10.0 %" in found.text
    assert found.text.endswith("do not believe it")


def test_savings_beyond_the_ceiling_within_chance_are_a_note(saving, findings) -> None:
    (found,) = findings(saving(7.0, 8.5, 10.5), "ceiling")
    assert found.severity == "note"
    assert "mine took less time than the samples explain" in found.text and "within chance" in found.text


@pytest.mark.parametrize("seconds", [(9.1, 9.2, 9.3), (9.5, 9.6, 9.8)])
def test_savings_below_the_ceiling_are_not_remarked_on(saving, told, seconds: Sequence[float]) -> None:
    assert told(saving(*seconds)) == []


def test_savings_of_two_seeds_are_not_beyond_chance(saving, told) -> None:
    assert not [text for text in told(saving(4.9, 5.0)) if "do not believe" in text]


def slower(book: Any, *factors: float) -> Any:
    """Baselines whose steps took so many times as long as those of two methods, a factor a seed."""
    for seed, factor in enumerate(factors):
        book.run("baseline", seed, [0.9], [10.0 * factor], **{part: s * factor for part, s in STEP.items()})
        for method in ("mine", "yours"):
            book.run(method, seed, [0.9], [9.0], n_trained=90, **{part: 0.9 * s for part, s in STEP.items()})
    return book


def test_a_baseline_whose_steps_took_longer_than_everybody_s_is_told(book: Any, findings) -> None:
    (found,) = findings(slower(book, 1.19, 1.2, 1.21), "slow-baseline")
    assert found.severity == "warning"
    assert found.text.startswith(f"{PAIR}: the baseline took 20.0 % longer per trained sample")
    assert found.text.endswith("95 % interval 17.5 to 22.5; savings may come from there")


@pytest.mark.parametrize("factors", [(1.02, 1.03, 1.04), (0.9, 1.2, 1.5), (0.8, 0.8, 0.81), (1.2, 1.21)])
def test_steps_that_are_alike_by_chance_or_too_few_are_not_remarked_on(
    book: Any, told, factors: Sequence[float]
) -> None:
    assert told(slower(book, *factors), "slow-baseline") == []


def test_work_beside_training_is_named_as_not_in_the_time(three: Any, findings) -> None:
    three.run("baseline", 3, [0.9], [1.0])
    three.run("mine", 3, [0.9, 0.9], [1.0, 1.0], background_s=2.0)
    (found,) = findings(three, "background")
    assert found.severity == "warning"
    assert found.text == (
        f"{PAIR} / mine worked 1 s a run beside training, on another thread or stream; that is not in its training time"
    )


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
    assert told(three, "target", targets=[parse_target("final*9:clock")]) == [
        f"{PAIR}: final*9:clock is an error of 100 % or more; every run reaches it"
    ]
    assert told(three, "target", targets=[parse_target("final*1.1:clock"), "0.5:clock"]) == []


def test_a_first_touch_of_shorter_epochs_has_no_interval_and_says_what_has(three: Any, told) -> None:
    assert told(three, "target", targets=[0.5]) == [
        f"{PAIR}: mine: epochs are not about as long as the baseline's, and the touch of a target favours the "
        "shorter ones: no interval; --target '0.5:clock' looks at both at the same times"
    ]


def test_a_best_epoch_of_fewer_is_noted(book: Any, told) -> None:
    for seed in range(3):
        book.run("baseline", seed, [0.8, 0.9], [5.0, 5.0 + seed])
        book.run("budget", seed, [0.8], [5.0])
    assert told(book, "best-epoch") == [
        f"{PAIR}: the best epoch of budget (1 epochs, the baseline 2) is picked from fewer than the baseline's; the "
        "final accuracy is what is compared"
    ]
