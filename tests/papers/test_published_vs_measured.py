"""Measured numbers beside published ones: when they are compared, when not, and why."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.tables.plain import text
from kbench.papers.papers import papers
from kbench.papers.publications import Publication, load_publications
from kbench.papers.published_vs_measured import (
    Case,
    PublishedVsMeasured,
    published_vs_measured,
    unpublished_pairs,
    why_recipe_differs,
)
from kbench.papers.tables import measured_tables

Shelf = Callable[..., list[Publication]]


@pytest.fixture
def shelf() -> Shelf:
    """One publication of the pair that the tests train: ``shelf(value="99.0", quantity="error")``."""

    def make(
        value: str = "79.0", base: str = "80.0", *, cell: Any = None, work: Any = None, **changes: Any
    ) -> list[Publication]:
        workload = {
            "model": "A CNN", "dataset": "Digits", "models": ["digits-cnn"], "datasets": ["digits"],
            "epochs": 3, "global_batch": 48, "hardware": "a V100", **(work or {}),
        }  # fmt: skip
        cells = [{"strategy": "baseline", "value": base}, {"strategy": "sb", "value": value, **(cell or {})}]
        table = {
            "where": "Table 1", "pair": "p", "quantity": "best_acc", "unit": "%", "source": "the paper", "cells": cells
        }  # fmt: skip
        facts = {"id": "paper", "title": "A paper", "cite": "somewhere", "read": "all", "workloads": {"p": workload}}
        return [Publication.model_validate({**facts, "tables": [table | changes]})]

    return make


def three_seeds(
    book: Any, sb: Sequence[float] = (0.79, 0.792, 0.788), base: Sequence[float] = (0.80, 0.801, 0.799)
) -> None:
    for seed, (own, other) in enumerate(zip(sb, base, strict=True)):
        book.run("baseline", seed, [0.1, 0.2, other], [10, 10, 10])
        book.run("sb", seed, [0.1, 0.2, own], [8, 8, 8])


def judged(book: Any, shelf: list[Publication]) -> dict[tuple[str, str], PublishedVsMeasured]:
    frames = book.frames()
    found = published_vs_measured(frames, compare(frames, baseline="baseline", targets=()), shelf)
    return {(one.strategy, one.quantity): one for one in found}


def test_a_published_difference_inside_our_interval_is_within(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    one = judged(book, shelf())["sb", "acc_diff"]
    assert (one.published, one.printed, one.verdict, one.why) == (-1.0, "-1.0", "within", ())
    assert one.here == pytest.approx(-1.0)
    low, high = one.here_ci
    assert low < -1.0 < high
    assert one.difference == pytest.approx(0.0)


def test_a_published_difference_outside_our_interval_is_outside(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    one = judged(book, shelf(value="80.3"))["sb", "acc_diff"]
    assert (one.published, one.verdict) == (pytest.approx(0.3), "outside")


def test_accuracies_themselves_need_the_same_batch_and_differences_do_not(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    found = judged(book, shelf(work={"global_batch": 1024}))
    assert found["sb", "best_acc"].why == ("batch 1024 there, 48 here",)
    assert found["sb", "acc_diff"].verdict == "within"
    assert judged(book, shelf())["sb", "best_acc"].verdict == "within"


def test_errors_are_compared_as_errors_and_their_differences_as_accuracies(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    found = judged(book, shelf(value="21.0", base="20.0", quantity="error"))
    assert found["sb", "error"].here == pytest.approx(21.0)
    assert (found["sb", "error"].verdict, found["sb", "acc_diff"].published) == ("within", -1.0)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"work": {"epochs": 200}}, "200 epochs there, 3 here"),
        ({"work": {"epochs": None}}, "its epochs are not known"),
        ({"metric_undefined": True}, "metric undefined"),
        ({"cell": {"at": "30 % pruned"}}, "30 % pruned"),
        ({"quantity": "acc"}, "which epoch's accuracy it is is not said"),
        ({"quantity": "time", "unit": "min", "base": "600", "value": "500"}, "hardware: a V100 there, one cpu here"),
        ({"quantity": "time_change", "value": "-15.1", "base": "0"}, "hardware: a V100 there, one cpu here"),
        ({"quantity": "speedup", "unit": "x", "value": "1.4", "base": "1"}, "other targets"),
    ],
)
def test_what_cannot_be_compared_says_why(changes: dict[str, Any], why: str, book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    one = judged(book, shelf(**changes))["sb", changes.get("quantity", "best_acc")]
    assert one.verdict == "not comparable"
    assert why in one.why


def test_two_seeds_have_no_interval_to_be_within(book: Any, shelf: Shelf) -> None:
    three_seeds(book, (0.79, 0.78), (0.80, 0.81))
    one = judged(book, shelf())["sb", "acc_diff"]
    assert (one.verdict, one.why) == ("not comparable", ("no interval here: it takes 3 seeds with some spread",))
    assert one.here == pytest.approx(-2.0)


def test_times_are_shown_in_the_published_unit_all_the_same(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    one = judged(book, shelf(quantity="time", unit="min", base="1", value="2"))["sb", "time"]
    assert (one.here, one.difference) == (pytest.approx(0.4), pytest.approx(-1.6))


def test_times_of_disturbed_runs_stand_beside_no_published_one(book: Any, shelf: Shelf) -> None:
    for seed, (seconds, share) in enumerate([(8, 0.99), (8, 0.98), (800, 0.12)]):
        book.run("baseline", seed, [0.1, 0.2, 0.8], [10, 10, 10], cpu_share=0.99)
        book.run("sb", seed, [0.1, 0.2, 0.79], [seconds] * 3, cpu_share=share)
    assert judged(book, shelf(quantity="time", unit="min", base="1", value="2"))["sb", "time"].here == pytest.approx(
        0.4
    )


def test_a_label_of_ones_own_is_known_by_the_strategy_behind_it(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    for seed in range(3):
        book.run("my-sb", seed, [0.1, 0.2, 0.79], [8, 8, 8], name="sb")
    assert judged(book, shelf())["my-sb", "best_acc"].published == 79.0


def test_a_method_that_kbench_calls_otherwise_is_not_taken_for_the_one_of_that_name(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    found = judged(book, shelf(cell={"method": "sb-epoch"}))
    assert {strategy for strategy, _ in found} == {"baseline"}


def test_another_model_or_data_set_is_beside_nothing_and_that_is_said(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    other = shelf(work={"datasets": ["svhn"]})
    assert judged(book, other) == {}
    frames = book.frames()
    assert list(unpublished_pairs(frames, other)) == [
        "digits-cnn-digits: no published number in kbench is about digits-cnn on digits"
    ]
    assert list(unpublished_pairs(frames, shelf())) == []


def test_a_misprinted_difference_and_caveats_are_told(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    one = judged(book, shelf(cell={"diff": "-0.5", "caveat": "by OCR"}, caveats=["no seeds"]))["sb", "best_acc"]
    assert one.caveats == (
        "paper, Table 1, p: prints a difference of -0.5 for sb; 79.0 and 80.0 differ by -1.0",
        "paper, Table 1, p: no seeds",
        "paper, Table 1, p, sb: by OCR",
    )


def test_the_table_states_its_rule(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    frames = book.frames()
    shown = text(
        measured_tables(published_vs_measured(frames, compare(frames, baseline="baseline", targets=()), shelf()))
    )
    line = next(line for line in shown.splitlines() if line.startswith("sb") and "-1.0" in line)
    assert line.split()[1:3] == ["-1.0", "-1.0"]
    assert line.endswith("within")
    assert "where a published number lies with 95 %" in " ".join(shown.split())


def test_all_of_it_without_any_imported_run(book: Any) -> None:
    three_seeds(book)
    frames = book.frames()
    made = papers(frames, compare(frames, baseline="baseline", targets=()))
    assert made.tables == ()
    assert [finding.text for finding in made.findings] == [
        "digits-cnn-digits: no published number in kbench is about digits-cnn on digits"
    ]
    assert (made.as_json()["published"], made.as_json()["audit"]) == ([], [])


def test_other_parameters_of_the_strategy_are_no_comparison(book: Any, shelf: Shelf) -> None:
    three_seeds(book)
    frames = book.frames()
    row = compare(frames, baseline="baseline", targets=()).rows[1]
    (publication,) = shelf(cell={"params": {"beta": 2}})
    spec = book.folder.run(frames.runs["run_id"].iloc[-1]).read_spec()
    for beta, why in ((2, []), (1, ["beta 2 there, 1 here"])):
        choice = spec.strategy.model_copy(update={"params": {"beta": beta}})
        own = spec.model_copy(update={"strategy": choice})
        case = Case(
            publication, publication.tables[0], publication.tables[0].cells[1], row, frames.runs, frames.runs, own
        )
        assert list(why_recipe_differs(case)) == why


def test_a_loss_is_held_against_the_one_of_the_same_smoothing(book: Any, shelf: Shelf) -> None:
    smooths = book.pair.recipe.model_copy(update={"label_smoothing": 0.1})
    for seed in range(3):
        for strategy, loss in (("baseline", 2.3), ("sb", 2.5)):
            losses = {"train_loss": loss + 0.01 * seed, "train_loss_smoothed": loss + 0.58 + 0.01 * seed}
            book.run(strategy, seed, [0.1, 0.2, 0.8], [10, 10, 10], recipe=smooths, **losses)
    loss: dict[str, Any] = {"value": "3.09", "base": "2.88", "quantity": "loss", "unit": "nat"}
    one = judged(book, shelf(**loss, smoothing=0.1))["sb", "loss"]
    assert one.here == pytest.approx(3.09) and one.verdict == "within"
    other = judged(book, shelf(**loss, smoothing=0.0))["sb", "loss"]
    assert other.here == pytest.approx(2.51) and other.why == ("labels smoothed by 0 there, by 0.1 here",)
    assert judged(book, shelf(**loss))["sb", "loss"].why == ("how the loss is defined is not said",)


def test_every_published_loss_says_its_smoothing_and_in_every_table_that_the_plain_one_is_lower() -> None:
    tables = [table for paper in load_publications() for table in paper.tables if table.quantity == "loss"]
    assert len(tables) == 2
    assert all(table.smoothing == 0.1 and "not against the plain one" in table.caveats[0] for table in tables)
