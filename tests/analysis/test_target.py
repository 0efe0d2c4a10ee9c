"""What is to be reached: an accuracy, or a multiple of the baseline's final error."""

import math

import pytest

from kbench.analysis.time_to_target import Target, target_of


@pytest.mark.parametrize("asked", ["0.76", "1", "1e-3", 0.76, " 0.5 "])
def test_a_fraction_is_an_accuracy(asked: str | float) -> None:
    found = target_of(asked)
    assert (found.accuracy, found.factor) == (float(asked), None)
    assert found.on([]) == float(asked)


@pytest.mark.parametrize("asked", ["final*1.1", "final * 1.1", " final*1.10"])
def test_a_multiple_of_the_final_error_has_one_name(asked: str) -> None:
    assert target_of(asked) == Target("final*1.1", factor=1.1)


@pytest.mark.parametrize(
    "asked", ["0", "1.01", "98", "-0.5", "nan", "high", "", "final", "final*", "final*0", "final*-1", "final*inf", 98.0]
)
def test_anything_else_is_refused(asked: str | float) -> None:
    with pytest.raises(ValueError, match=r"must be a fraction in \(0, 1\] or final\*K, got "):
        target_of(asked)


def test_a_multiple_is_of_the_mean_final_error() -> None:
    assert target_of("final*1.5").on([0.9, 0.8]) == pytest.approx(1 - 1.5 * 0.15)


@pytest.mark.parametrize("finals", [[], [0.9, math.nan]])
def test_a_multiple_of_what_is_not_known_is_not_known(finals: list[float]) -> None:
    assert target_of("final*1.5").on(finals) is None
