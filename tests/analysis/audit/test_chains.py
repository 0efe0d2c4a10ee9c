"""What began with the weights of other runs is judged by those too, and not as if it were a method."""

from typing import Any

import pytest

UP, DOWN = "up-digits", "down-digits"


@pytest.fixture
def chain(book: Any) -> Any:
    """Three seeds of three strategies; ``mine`` was made as ``place`` says upstream, and as ``below`` downstream."""

    def made(place: Any = None, below: Any = None, *, seeds: int = 3) -> Any:
        for seed in range(seeds):
            for strategy, acc in (("baseline", 0.9), ("random", 0.8), ("mine", 0.7)):
                up, down = (place, below) if strategy == "mine" else ({}, {})
                own = {"weights_digest": f"{strategy}{seed}"} | (down or {})
                slow = 8.0 if strategy == "baseline" else 9.0
                book.run(strategy, seed, [acc], [slow + seed], model="up", place=up, n_hidden=25, ceiling=0.3)
                book.run(strategy, seed, [acc], [slow + seed], model="down", upstream="up", place=own)
        return book

    return made


def test_other_weights_than_the_baseline_s_are_what_a_chain_is_for(chain: Any, findings) -> None:
    assert findings(chain(), "weights_digest", "chain") == []


def test_other_weights_without_a_chain_are_still_a_warning(book: Any, told) -> None:
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [1.0], place={"weights_digest": strategy})
    assert len(told(book, "weights_digest")) == 1


def test_downstream_nobody_is_a_method_or_a_control(chain: Any, findings) -> None:
    (found,) = findings(chain(), "control")
    assert found.text.startswith(f"{UP}: mine: not shown to beat random")
    assert {about.pair for about in found.about} == {UP}


def test_that_the_baseline_trains_downstream_hides_no_method_upstream(book: Any, told) -> None:
    book.run("mine", 0, [0.9], [1.0], model="down", upstream="up")  # the first run of that label
    book.run("baseline", 0, [0.9], [1.0], model="down", upstream="up")
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [1.0], model="up")
    assert told(book, "control") == [f"{UP}: no run hides at random; whether mine do better is not known"]


def test_a_saving_downstream_is_held_against_no_samples(book: Any, findings) -> None:
    for seed in range(3):
        for strategy, seconds in (("baseline", 10.0), ("mine", 5.0 + 0.1 * seed)):
            parts = {"forward_s": seconds / 2, "backward_s": seconds / 2}
            book.run(strategy, seed, [0.9], [seconds], model="up", **parts)
            book.run(strategy, seed, [0.9], [seconds], model="down", upstream="up", **parts)
    found = findings(book, "ceiling", "slow-baseline")
    assert {about.pair for finding in found for about in finding.about} == {UP}


@pytest.mark.parametrize(
    ("column", "value", "values"),
    [
        ("commit", "beef", "beef, c0ffee"),
        ("torch_version", "2.10", "2.10, 2.9"),
        ("device_name", "h200", "h200, one cpu"),
    ],
)
def test_weights_made_with_something_else_than_the_baseline_s_are_a_warning(
    chain: Any, findings, column: str, value: str, values: str
) -> None:
    (found,) = findings(chain({column: value}), "chain")
    assert found.severity == "warning"
    assert found.text == (
        f"{DOWN}: the weights that mine and baseline began with were trained with different {column} ({values}); "
        "downstream differences may come from there"
    )
    assert [(about.pair, about.strategy) for about in found.about] == [(DOWN, "mine")]


def test_a_machine_of_another_name_makes_no_other_weights(chain: Any, findings) -> None:
    assert findings(chain({"hosts": ["node7"]}), "chain") == []


def test_who_began_with_the_very_weights_of_the_baseline_is_named(chain: Any, told) -> None:
    (found,) = told(chain(below={"weights_digest": "baseline0"}), "chain")
    assert found.startswith(f"{DOWN} / mine: seeds [0] began with the very weights of baseline")


def test_a_run_upstream_that_was_trained_once_more_is_named(chain: Any, told) -> None:
    before, just = "2026-01-01T00:00:00+00:00", "2026-01-01T23:59:30+00:00"  # upstream all end on January 2nd, 0:00
    (found,) = told(chain(below={"started_at": before}), "chain")
    assert found.startswith(f"{DOWN} / mine: seeds [0, 1, 2] began before the run upstream that is on record ended")
    assert told(chain(below={"started_at": just}), "chain") == []


def test_a_run_upstream_that_is_no_longer_done_is_named(book: Any, told) -> None:
    for strategy, fails in (("baseline", ""), ("mine", "out of memory")):
        book.run(strategy, 0, [0.9], [1.0], model="up", fails=fails)
        book.run(strategy, 0, [0.9], [1.0], model="down", upstream="up")
    (found,) = told(book, "chain")
    assert found.startswith(f"{DOWN} / mine began with weights of runs that are not done: {UP}.mine.s0.")
    assert found.endswith(" is failed")


def test_a_run_upstream_that_is_gone_is_named(book: Any, told) -> None:
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [1.0], model="down", upstream="up")
    found = told(book, "chain")
    assert len(found) == 2 and all(text.endswith(" is not among the results") for text in found)
