"""Accuracy by epoch, whatever it cost."""

from typing import Any

import numpy as np
import pytest

from kbench.errors import ResultsError


def test_epochs_are_counted_from_one(invent: Any, data_of: Any) -> None:
    assert data_of("epochs", invent(("baseline",), epochs=3))["epoch"].tolist() == [1, 2, 3]


def test_it_has_the_mean_and_the_range_over_seeds(book: Any, data_of: Any) -> None:
    book.run("baseline", 0, [0.5, 0.6], [1.0, 1.0])
    book.run("baseline", 1, [0.75, 1.0], [1.0, 1.0])
    found = data_of("epochs", book.frames())
    assert found[["acc", "acc_min", "acc_max"]].to_numpy().tolist() == [[0.625, 0.5, 0.75], [0.8, 0.6, 1.0]]


def test_an_epoch_that_a_seed_did_not_evaluate_is_left_out(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline",), epochs=4)
    frames.epochs.loc[1, "val_acc1"] = np.nan  # epoch 2 of the first seed
    assert data_of("epochs", frames)["epoch"].tolist() == [1, 3, 4]


def test_without_any_accuracy_there_is_no_figure(invent: Any, data_of: Any) -> None:
    frames = invent(("baseline",), epochs=4)
    frames.epochs["val_acc1"] = np.nan
    with pytest.raises(ResultsError, match="no run has an accuracy"):
        data_of("epochs", frames)


def test_the_key_names_every_strategy_of_any_panel(invent: Any, draw: Any) -> None:
    frames = invent(("baseline", "mine", "yours"), ("p", "q"), epochs=3)
    frames.runs.loc[(frames.runs["pair"] == "q") & (frames.runs["strategy"] == "mine"), "state"] = "failed"
    assert draw("epochs", frames).named == ["baseline", "mine", "yours"]


def test_every_pair_has_a_panel(invent: Any, draw: Any, lines: Any) -> None:
    pairs = ("resnet-images", "deepcam-climate", "third")
    drawn = draw("epochs", invent(("baseline", "sb"), pairs, epochs=3))
    titles = [axes.get_title().split(":")[0] for axes in drawn.figure.axes if lines(axes)]
    assert titles == list(pairs)


@pytest.mark.parametrize(("seeds", "said"), [(1, "p: one seed"), (3, "p: mean and range of 3 seeds")])
def test_the_title_says_what_the_band_is(seeds: int, said: str, invent: Any, draw: Any) -> None:
    drawn = draw("epochs", invent(("baseline", "sb"), seeds=seeds, epochs=3))
    assert drawn.figure.axes[0].get_title() == said
