"""What a number of seeds can show is foretold from the spread of the baseline against itself."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from kbench.analysis.compare import compare
from kbench.analysis.interval import estimate
from kbench.analysis.resolution import accuracy_resolution, resolution, spreads, time_resolution
from kbench.records.calibration import Calibration

TWINS = ("baseline", "baseline-again")


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_the_smallest_difference_is_shown_four_times_of_five(n_seeds: int) -> None:
    found, numbers = resolution(0.02, n_seeds), np.random.default_rng(n_seeds)
    values = found.smallest + 0.02 * numbers.standard_normal((4000, n_seeds))
    intervals = [estimate(row.tolist()).ci or (0.0, 0.0) for row in values]
    assert np.mean([lower > 0 for lower, _ in intervals]) == pytest.approx(0.8, abs=0.02)
    assert np.mean([(upper - lower) / 2 for lower, upper in intervals]) == pytest.approx(found.half_width, rel=0.13)
    assert found.half_width < found.smallest


def test_two_seeds_resolve_nothing() -> None:
    with pytest.raises(ValueError, match="3 or more, got 2"):
        resolution(0.02, 2)


def played(book: Any) -> None:
    for seed, (accuracy, seconds, again) in enumerate([(0.90, 10.0, 10.2), (0.92, 11.0, 10.9), (0.91, 9.0, 18.0)]):
        book.run("baseline", seed, [accuracy], [seconds])
        book.run("baseline-again", seed, [accuracy], [again], name="baseline")


def test_the_spread_is_that_of_the_time_of_twins_and_of_the_accuracy_over_seeds(book: Any) -> None:
    played(book)
    frames = book.frames()
    slow = next(run for run in frames.runs["run_id"] if ".baseline-again.s2." in run)
    (found,) = spreads(frames, TWINS, [slow])
    logs = [math.log(10.2 / 10.0), math.log(10.9 / 11.0)]
    assert found.time_sd == pytest.approx(math.sqrt((logs[0] ** 2 + logs[1] ** 2) / 2))
    assert found.acc_sd == pytest.approx(0.01) and (found.n_seeds, found.n_disturbed, found.epochs) == (3, 1, 1)
    time, accuracy = time_resolution(found, 5), accuracy_resolution(found, 5)
    assert time and time.smallest == pytest.approx(math.expm1(resolution(found.time_sd or 0, 5).smallest))
    assert accuracy and accuracy.smallest == pytest.approx(resolution(0.01 * math.sqrt(2), 5).smallest)


def test_compare_says_what_its_seeds_resolve_where_the_same_instruments_were_calibrated(book: Any) -> None:
    played(book)
    book.run("mine", 0, [0.9], [8.0])
    book.run("mine", 1, [0.9], [8.0])
    book.run("mine", 2, [0.9], [8.0])
    frames = book.frames()

    def line() -> list[str]:
        return [f.text for f in compare(frames, baseline="baseline", targets=[]).findings if f.kind == "resolution"]

    assert line() == []
    found = spreads(frames, TWINS)
    folder = book.folder.path.parent / "other-calibration"
    folder.mkdir()
    made = Calibration(experiment="other", made_at=datetime(2026, 11, 28, tzinfo=UTC), spreads=found)
    made.write(folder)
    assert Calibration.read(folder) == made
    (text,) = line()
    assert text.startswith("digits-cnn-digits: 3 seeds on this machine show differences from ") and "2026-11-28" in text
    spread = found[0].model_copy(update={"instruments": found[0].instruments.model_copy(update={"spin": "1"})})
    made.updated(spreads=(spread,)).write(folder)
    assert line() == []
