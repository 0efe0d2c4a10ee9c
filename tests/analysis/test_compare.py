"""Each strategy against its matched baseline; every expected number is worked out by hand or by scipy."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from kbench.analysis.compare import compare
from kbench.analysis.rows import Comparison, Row
from kbench.analysis.time_to_target import Target, TimeToTarget, parse_target
from kbench.errors import ResultsError


def compared(book: Any, *, targets: Sequence[float | str | Target] = (), baseline: str = "baseline") -> Comparison:
    return compare(book.frames(), baseline=baseline, targets=targets)


def row(book: Any, strategy: str = "mine", **asked: Any) -> Row:
    (found,) = [row for row in compared(book, **asked).rows if row.strategy == strategy]
    return found


def time_to(book: Any, target: float | str, strategy: str = "mine") -> TimeToTarget:
    (found,) = row(book, strategy, targets=[target]).targets
    return found


class TestDifferences:
    def test_accuracies_are_means_over_seeds(self, three: Any) -> None:
        found = row(three)
        assert (found.acc_best, found.acc_final) == pytest.approx(((0.72 + 0.82 + 0.91) / 3, (0.72 + 0.80 + 0.91) / 3))

    def test_the_spread_of_accuracies_is_the_deviation_of_a_sample(self, three: Any) -> None:
        assert row(three, "baseline").acc_best_sd == pytest.approx(0.1007, abs=1e-4)  # of .90, .82, .70

    def test_the_difference_of_accuracies_is_of_the_best_ones(self, three: Any) -> None:
        assert row(three).acc_diff == pytest.approx(0.01)

    def test_the_difference_of_final_accuracies_stands_beside_it(self, three: Any) -> None:
        assert row(three).acc_final_diff == pytest.approx((0.02 - 0.02 + 0.08) / 3)

    def test_the_worst_class_of_the_last_epoch_is_compared_too(self, book: Any) -> None:
        for seed, (base, own) in enumerate([(0.8, 0.5), (0.7, 0.6), (0.75, 0.45)]):
            book.run("baseline", seed, [0.9], [1.0], val_acc_worst=base)
            book.run("mine", seed, [0.9], [1.0], val_acc_worst=own)
        found = row(book)
        assert (found.acc_worst, found.acc_worst_base) == pytest.approx((1.55 / 3, 0.75))
        assert found.acc_worst_diff == pytest.approx(-0.7 / 3) and found.noise == 0.0
        expected = stats.ttest_1samp([-0.3, -0.1, -0.3], 0.0).confidence_interval(0.95)
        assert found.acc_worst_diff_ci == pytest.approx((expected.low, expected.high))

    def test_of_older_runs_no_worst_class_is_known(self, three: Any) -> None:
        found = row(three)
        assert (found.acc_worst, found.acc_worst_diff, found.acc_worst_diff_ci) == (None, None, None)

    def test_differences_are_paired_by_seed(self, three: Any) -> None:
        expected = stats.ttest_1samp([0.01, 0.0, 0.02], 0.0).confidence_interval(0.95)
        assert row(three).acc_diff_ci == pytest.approx((expected.low, expected.high))

    def test_the_change_of_time_is_the_geometric_mean_of_paired_ratios(self, three: Any) -> None:
        assert row(three).time_diff == pytest.approx((0.5 * 0.8 * 0.625) ** (1 / 3) - 1)

    def test_the_interval_of_the_change_of_time_comes_from_logarithms(self, three: Any) -> None:
        logs = [math.log(ratio) for ratio in (0.5, 0.8, 0.625)]
        expected = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
        assert row(three).time_diff_ci == pytest.approx((math.exp(expected.low) - 1, math.exp(expected.high) - 1))

    def test_the_training_time_is_a_geometric_mean_so_that_the_change_follows_from_it(self, three: Any) -> None:
        found = row(three)
        assert found.train_s == pytest.approx((5.0 * 16.0 * 25.0) ** (1 / 3))
        assert found.train_s is not None and found.train_s_base is not None
        assert found.train_s / found.train_s_base - 1 == pytest.approx(found.time_diff)

    def test_seeds_of_very_different_times_have_a_change_that_their_printed_times_give(self, book: Any) -> None:
        for seed, (base, own) in enumerate([(1.0, 300.0), (3.0, 20.0), (5.0, 5.5)]):
            book.run("baseline", seed, [0.9], [base])
            book.run("mine", seed, [0.9], [own])
        before, after = compared(book).rows
        assert before.train_s is not None and after.train_s is not None and after.time_diff is not None
        assert f"{after.train_s / before.train_s - 1:.6f}" == f"{after.time_diff:.6f}"  # arithmetic: +3517 %

    def test_counts_are_of_a_run_and_the_hidden_share_of_an_epoch(self, three: Any) -> None:
        found = row(three)
        assert (found.n_trained, found.hidden_mean) == (200, pytest.approx(0.2))

    def test_the_baseline_differs_from_nobody(self, three: Any) -> None:
        found = row(three, "baseline")
        differences = (found.acc_diff, found.acc_diff_ci, found.acc_final_diff, found.acc_final_diff_ci)
        assert differences == (None,) * 4
        assert (found.time_diff, found.time_diff_ci, found.ideal_time_change) == (None,) * 3

    def test_another_baseline_turns_the_comparison_round(self, three: Any) -> None:
        found = row(three, "baseline", baseline="mine")
        assert found.acc_diff == pytest.approx(-0.01)
        assert found.time_diff == pytest.approx((2.0 * 1.25 * 1.6) ** (1 / 3) - 1)

    def test_only_seeds_that_both_have_are_compared(self, three: Any) -> None:
        three.run("baseline", 3, [0.1], [1000.0])
        three.run("mine", 4, [0.1], [1000.0])
        found = row(three)
        assert (found.seeds, found.acc_diff) == (3, pytest.approx(0.01))
        assert found.train_s == pytest.approx((5.0 * 16.0 * 25.0) ** (1 / 3))

    def test_a_run_that_failed_is_not_compared(self, three: Any) -> None:
        three.run("baseline", 3, [0.1], [1000.0])
        three.run("mine", 3, [0.9], [1.0], fails="no more")
        assert row(three).seeds == 3

    def test_one_seed_has_differences_but_no_interval(self, book: Any) -> None:
        book.run("baseline", 0, [0.8], [10.0])
        book.run("mine", 0, [0.7], [5.0])
        found = row(book)
        assert (found.acc_diff, found.time_diff) == pytest.approx((-0.1, -0.5))
        assert (found.acc_diff_ci, found.time_diff_ci, found.acc_best_sd) == (None, None, None)

    def test_two_seeds_have_a_mean_and_no_interval(self, book: Any) -> None:
        for seed, (accuracy, seconds) in enumerate([(0.7, 5.0), (0.9, 20.0)]):
            book.run("baseline", seed, [0.75], [10.0])
            book.run("mine", seed, [accuracy], [seconds])
        found = row(book)
        assert (found.acc_diff_ci, found.time_diff_ci) == (None, None)
        assert found.time_diff == pytest.approx(0.0)

    def test_seeds_without_any_spread_have_no_interval(self, book: Any) -> None:
        for seed in range(3):
            book.run("baseline", seed, [0.5], [8.0])
            book.run("mine", seed, [0.25], [4.0])
        found = row(book)
        assert (found.acc_diff, found.acc_diff_ci) == (-0.25, None)
        assert (found.time_diff, found.time_diff_ci) == (pytest.approx(-0.5), None)

    def test_each_pair_is_compared_with_its_own_baseline(self, book: Any) -> None:
        for model, seconds in (("digits-cnn", 10.0), ("mlp", 100.0)):
            book.run("baseline", 0, [0.5], [seconds], model=model)
            book.run("mine", 0, [0.5], [seconds * 0.75], model=model)
        found = [(row.pair, row.strategy, row.time_diff) for row in compared(book).rows]
        assert sorted(found, key=str) == [
            ("digits-cnn-digits", "baseline", None),
            ("digits-cnn-digits", "mine", pytest.approx(-0.25)),
            ("mlp-digits", "baseline", None),
            ("mlp-digits", "mine", pytest.approx(-0.25)),
        ]


class TestTargets:
    def test_the_time_to_a_target_ends_with_the_first_epoch_that_reaches_it(self, book: Any) -> None:
        book.run("baseline", 0, [0.5, 0.8, 0.9], [10.0, 10.0, 10.0])
        book.run("mine", 0, [0.5, 0.7, 0.9], [4.0, 4.0, 4.0])
        found = time_to(book, 0.8)
        assert (found.target, found.reached, found.seconds, found.speedup) == (0.8, 1, 12.0, pytest.approx(20 / 12))
        assert (found.speedup_ci, found.speedup_range) == (None, None)

    def test_a_speed_up_is_the_geometric_mean_over_paired_seeds(self, book: Any) -> None:
        for seed, (base, own) in enumerate([(10.0, 5.0), (10.0, 20.0), (30.0, 10.0)]):
            book.run("baseline", seed, [0.9, 0.9], [base, 1.0])
            book.run("mine", seed, [0.9, 0.9], [own, 1.0])
        found = time_to(book, "0.9:sustained")
        expected = stats.ttest_1samp([math.log(x) for x in (2.0, 0.5, 3.0)], 0.0).confidence_interval(0.95)
        assert found.speedup == pytest.approx(3.0 ** (1 / 3))
        assert found.speedup_ci == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
        assert found.seconds == pytest.approx(10.0)

    def test_the_baseline_has_seconds_and_no_speed_up(self, book: Any) -> None:
        book.run("baseline", 0, [0.9], [10.0])
        found = time_to(book, 0.9, "baseline")
        assert (found.reached, found.seconds, found.speedup, found.speedup_at_least) == (1, 10.0, None, None)

    def test_a_multiple_of_the_final_error_is_of_the_baseline_s_mean_on_the_pair(self, three: Any) -> None:
        found = row(three, targets=[parse_target("final*1.1")]).targets[0]
        assert found.target == pytest.approx(1 - 1.1 * (0.11 + 0.18 + 0.36) / 3)
        assert found.requested == "final*1.1"

    def test_a_multiple_of_the_final_error_is_reached_by_the_run_that_set_it(self, book: Any) -> None:
        book.run("baseline", 0, [0.3, 170 / 355], [1.0, 1.0])  # 1 - (1 - 170 / 355) is more by rounding
        found = row(book, "baseline", targets=[parse_target("final*1")]).targets[0]
        assert (found.reached, found.seconds) == (1, 2.0)

    def test_scoring_first_counts_in_the_time_to_a_target(self, book: Any) -> None:
        book.run("baseline", 0, [0.9], [10.0])
        book.run("forget", 0, [0.9], [5.0], score=[(0.95, 15.0)])
        found = time_to(book, 0.9, "forget")
        assert (found.seconds, found.speedup) == (20.0, 0.5)


class TestPhases:
    def test_scoring_first_counts_in_the_change_of_time(self, book: Any) -> None:
        book.run("baseline", 0, [0.8], [10.0])
        book.run("forget", 0, [0.8], [5.0], score=[(0.5, 15.0)])
        found = row(book, "forget")
        assert (found.train_s, found.time_diff) == (20.0, pytest.approx(1.0))

    def test_the_best_accuracy_of_scoring_is_nobody_s_result(self, book: Any) -> None:
        book.run("baseline", 0, [0.8], [10.0])
        book.run("forget", 0, [0.7], [5.0], score=[(0.99, 15.0)])
        assert row(book, "forget").acc_best == 0.7

    def test_samples_of_scoring_are_counted_and_do_not_thin_the_hidden_share(self, book: Any) -> None:
        book.run("baseline", 0, [0.8], [10.0])
        book.run("forget", 0, [0.7], [5.0], score=[(0.5, 5.0)], n_hidden=30, n_trained=70)
        found = row(book, "forget")
        assert (found.n_trained, found.hidden_mean) == (140, pytest.approx(0.3))


class TestErrors:
    def test_no_run_done_is_an_error_that_counts_states(self, book: Any) -> None:
        book.run("baseline", 0, [0.9], [1.0], fails="no more")
        with pytest.raises(ResultsError, match=r"book: no run is done yet \(1 failed\)"):
            compared(book)

    def test_a_baseline_that_is_nowhere_done_is_an_error_that_names_what_is(self, three: Any) -> None:
        with pytest.raises(ResultsError, match="no run of the baseline 'base' is done; done are baseline, mine"):
            compared(three, baseline="base")

    def test_a_missing_baseline_is_exit_code_6(self, small_folder: Path, tmp_path: Path) -> None:
        done = kbench_compare(small_folder, tmp_path, "--baseline", "nobody")
        assert (done.returncode, done.stdout) == (6, "")
        assert "no run of the baseline 'nobody' is done" in done.stderr


ROW_KEYS = {
    "pair": str, "strategy": str, "seeds": int, "acc_best": float, "acc_best_sd": (float, None), "acc_final": float,
    "acc_diff": (float, None), "acc_diff_ci": (list, None), "train_s": float, "time_diff": (float, None),
    "time_diff_ci": (list, None), "time_ceiling": (float, None), "targets": list, "n_trained": int, "n_scored": int,
    "n_refreshed": int, "hidden_mean": float,
}  # fmt: skip
TARGET_KEYS = {
    "target": float, "reached": int, "seconds": (float, None), "speedup": (float, None), "speedup_ci": (list, None),
}  # fmt: skip


def kbench_compare(small_folder: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """``kbench compare small`` on a copy of the small experiment's results."""
    shutil.copytree(small_folder / "results", folder / "results")
    command = [sys.executable, "-m", "kbench", "compare", "small", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def no_nan(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


def has_types(entry: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether each wanted key is there with a value of its type, or null where that may be."""
    for key, kinds in wanted.items():
        kind, *others = kinds if isinstance(kinds, tuple) else (kinds,)
        if entry[key] is None and None in others:
            continue
        if type(entry[key]) is not kind:
            return False
        if kind is list and key.endswith("_ci") and [type(bound) for bound in entry[key]] != [float, float]:
            return False
    return True


class TestJson:
    def test_its_top_has_the_keys_of_the_contract(self, three: Any) -> None:
        found = compared(three).as_json()
        assert list(found)[:5] == ["schema", "experiment", "baseline", "rows", "warnings"]
        assert (found["schema"], found["experiment"], found["baseline"]) == (1, "book", "baseline")

    @pytest.mark.parametrize("targets", [(), (0.6, 0.95)], ids=["no target", "two targets"])
    def test_rows_have_the_keys_and_types_of_the_contract(self, three: Any, targets: tuple[float, ...]) -> None:
        text = json.dumps(compared(three, targets=targets).as_json(), allow_nan=False)
        rows = json.loads(text)["rows"]
        assert [has_types(row, ROW_KEYS) for row in rows] == [True, True]
        reaches = [target for row in rows for target in row["targets"]]
        assert [has_types(target, TARGET_KEYS) for target in reaches] == [True] * (2 * len(targets))

    def test_what_one_seed_cannot_tell_is_null(self, book: Any) -> None:
        book.run("baseline", 0, [0.8], [10.0])
        book.run("mine", 0, [0.7], [5.0])
        _, found = json.loads(json.dumps(compared(book, targets=[0.9]).as_json(), allow_nan=False))["rows"]
        nulls = {key for key, value in found.items() if value is None}
        assert {key for key in nulls if key in ROW_KEYS} == {
            "acc_best_sd",
            "acc_diff_ci",
            "time_diff_ci",
            "time_ceiling",
        }
        assert {"acc_diff", "acc_final_diff", "time_diff", "train_s"} & nulls == set()
        (nowhere,) = found["targets"]
        assert {key: value for key, value in nowhere.items() if value is not None} == {
            "asked": "0.9", "target": 0.9, "reached": 0, "rule": "first", "withheld": False,
        }  # fmt: skip

    def test_warnings_are_the_texts_of_the_findings(self, three: Any) -> None:
        three.run("mine", 3, [0.9], [1.0], fails="no more")
        found = compared(three).as_json()
        assert list(found["warnings"]) == [finding["text"] for finding in found["findings"]]
        assert {finding["severity"] for finding in found["findings"]} == {"warning", "note"}

    def test_the_parts_of_the_time_are_seconds_of_a_run_and_shares_of_its_time(self, book: Any) -> None:
        for seed in range(2):
            book.run("baseline", seed, [0.8, 0.9], [5.0, 5.0], score=[(0.1, 6.0)], forward_s=2.0, background_s=0.25)
        (found,) = compared(book).as_json()["rows"]
        assert found["time_parts"]["forward"] == {"seconds": 6.0, "share": pytest.approx(6 / 16)}
        assert found["time_parts"]["background"] == {"seconds": 0.75, "share": None}
        assert found["time_parts"]["eval"] == {"seconds": 1.5, "share": None}
        assert found["time_parts"]["stage"] == {"seconds": None, "share": None}

    def test_the_command_prints_json_and_nothing_else(self, small_folder: Path, tmp_path: Path) -> None:
        done = kbench_compare(small_folder, tmp_path, "--format", "json")
        found = json.loads(done.stdout, parse_constant=no_nan)
        assert [row["strategy"] for row in found["rows"]] == ["baseline", "random", "kakurenbo"]
        assert all(has_types(row, ROW_KEYS) for row in found["rows"])
        assert [[target["target"] for target in row["targets"]] for row in found["rows"]] == [[0.5, 1.0]] * 3

    def test_the_command_s_numbers_follow_from_the_journals(self, small_folder: Path, tmp_path: Path) -> None:
        done = kbench_compare(small_folder, tmp_path, "--json")
        found = {row["strategy"]: row for row in json.loads(done.stdout)["rows"]}
        best: dict[tuple[str, str], float] = {}
        seconds: dict[tuple[str, str], float] = {}
        for path in (small_folder / "results" / "small" / "runs").glob("*/epochs.jsonl"):
            _, strategy, seed, _ = path.parent.name.split(".")
            epochs = [json.loads(line) for line in path.read_text().splitlines()]
            best[strategy, seed] = max(epoch["val_acc1"] for epoch in epochs)
            seconds[strategy, seed] = sum(epoch["train_s"] for epoch in epochs)
        difference = sum(best["kakurenbo", s] - best["baseline", s] for s in ("s0", "s1")) / 2
        ratio = math.sqrt(math.prod(seconds["kakurenbo", s] / seconds["baseline", s] for s in ("s0", "s1")))
        assert found["kakurenbo"]["acc_diff"] == pytest.approx(difference)
        assert found["kakurenbo"]["time_diff"] == pytest.approx(ratio - 1)
