"""Runs that were not made alike are named, and what that spoils."""

from typing import Any

import pytest

PAIR = "digits-cnn-digits"
TIMES = "their times are not matched"


@pytest.mark.parametrize(
    ("column", "value", "values", "spoils"),
    [
        ("device_name", "a faster cpu", "a faster cpu, one cpu", TIMES),
        ("hosts", ["node2"], "node1, node2", TIMES),
        ("torch_version", "2.10", "2.10, 2.9", TIMES),
        ("threads_per_rank", 4, "2, 4", TIMES),
        ("launcher", "mpirun", "local, mpirun", TIMES),
        (
            "dataset_identity",
            "0123456789ab",
            "0123456789ab, ba9876543210",
            "they were not trained on the same data: neither times nor accuracies are matched",
        ),
        ("commit", "beef", "beef, c0ffee", "kbench's source changed in between"),
    ],
)
def test_a_run_made_otherwise_than_its_baseline_s_is_a_warning(
    three: Any, findings, column: str, value: object, values: str, spoils: str
) -> None:
    three.run("baseline", 3, [0.9], [1.0])
    three.run("mine", 3, [0.9], [1.0], place={column: value})
    (found,) = findings(three, column)
    assert found.severity == "warning"
    assert found.text == f"{PAIR}: mine and baseline differ in {column} ({values}); {spoils}"


def test_seeds_made_on_different_hosts_are_a_note_as_long_as_each_pair_shares_one(three: Any, findings) -> None:
    for strategy in ("baseline", "mine"):
        three.run(strategy, 3, [0.9], [1.0], place={"hosts": ["node2"]})
    (found,) = findings(three, "hosts")
    assert found.severity == "note"
    assert found.text == f"{PAIR}: seeds differ in hosts (node1, node2); each is compared with its own baseline"


def test_what_is_not_known_of_a_run_is_no_difference(three: Any, told) -> None:
    three.run("baseline", 3, [0.9], [1.0], place={"commit": None, "device_name": None, "launcher": None})
    three.run("mine", 3, [0.9], [1.0])
    assert told(three) == []


def test_numbers_are_whole_though_another_run_told_none(three: Any, told) -> None:
    three.run("mine", 3, [0.9], [1.0], fails="dead", place={"max_parallel": None, "threads_per_rank": None})
    three.run("baseline", 4, [0.9], [1.0], place={"threads_per_rank": 4, "max_parallel": 2})
    three.run("mine", 4, [0.9], [1.0])
    assert told(three, "threads_per_rank", "max_parallel") == [
        f"{PAIR}: mine and baseline differ in threads_per_rank (2, 4); {TIMES}",
        f"{PAIR}: mine and baseline differ in max_parallel (1, 2); {TIMES}",
        f"{PAIR}: up to 2 runs shared the machine; cpu_s is steadier than train_s",
    ]


def test_changes_that_were_not_committed_are_told(three: Any, told) -> None:
    three.run("baseline", 3, [0.9], [1.0], place={"dirty": True})
    assert told(three) == [f"{PAIR}: made with uncommitted changes in kbench's source"]


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("weights_digest", "did not begin from the baseline's weights"),
        ("order_digest", "did not see the samples in the baseline's order"),
        ("augment_digest", "did not see the samples augmented as the baseline's"),
    ],
)
def test_digests_that_differ_from_the_baseline_s_are_told(three: Any, told, column: str, sentence: str) -> None:
    for seed, digest in ((4, "a"), (5, "b")):
        three.run("baseline", seed, [0.9], [1.0], place={column: digest})
        three.run("mine", seed, [0.9], [1.0], place={column: "a"})
    assert told(three) == [f"{PAIR} / mine: seeds [5] {sentence} ({column})"]


def test_random_streams_that_a_strategy_moved_are_a_note(three: Any, findings) -> None:
    three.run("baseline", 3, [0.9], [1.0])
    three.run("mine", 3, [0.9], [1.0], place={"disturbs": "numpy"})
    (found,) = findings(three, "disturbs")
    assert found.severity == "note"
    assert found.text == f"{PAIR} / mine moved random streams of others (numpy); they were put back"


class TestLogsOfOthers:
    @pytest.fixture
    def theirs(self, three: Any) -> Any:
        for strategy, epochs in (("baseline", 3), ("mine", 2)):
            three.run(strategy, 3, [0.9] * epochs, [1.0] * epochs)
        return three

    def test_runs_of_two_instruments_are_not_matched(self, theirs: Any, imported) -> None:
        found = imported(theirs.frames(), strategy="mine", seed=3)
        assert (
            f"{PAIR}: mine and baseline differ in imported_from (kbench, wandb); different instruments measured them: "
            "neither times nor accuracies are matched"
        ) in found.warnings

    def test_a_log_that_ends_early_is_told(self, theirs: Any, imported) -> None:
        found = imported(theirs.frames(), seed=3)
        assert f"{PAIR} / mine: 2 epochs are on record, of baseline 3" in found.warnings


def test_a_set_that_is_not_the_official_one_is_a_warning(book: Any, findings) -> None:
    for strategy in ("baseline", "mine"):
        book.run(strategy, 0, [0.9], [1.0], place={"dataset_note": "made here"})
    (found,) = findings(book, "dataset")
    assert (found.severity, found.text) == (
        "warning",
        f"{PAIR}: made on a set that is not the official one: made here",
    )


def test_where_only_some_runs_had_another_set_they_are_counted_and_named(three: Any, findings) -> None:
    three.run("mine", 3, [0.9], [1.0], place={"dataset_note": "made here"})
    three.run("baseline", 3, [0.9], [1.0])
    (found,) = findings(three, "dataset")
    assert found.text == f"{PAIR}: 1 of 8 runs were made on a set that is not the official one: made here"
    assert [about.strategy for about in found.about] == ["mine"]


def test_runs_of_one_method_whose_source_changed_are_named(three: Any, findings) -> None:
    for seed, code in ((3, "0123456789ab"), (4, "ba9876543210")):
        three.run("baseline", seed, [0.9], [1.0])
        three.run("mine", seed, [0.9], [1.0], place={"strategy_code": code})
    (found,) = findings(three, "strategy_code")
    assert (found.severity, found.text) == (
        "warning",
        f"{PAIR} / mine: its source changed between runs (0123456789ab, ba9876543210); they are not one method",
    )
