"""MLPerf logs: intervals, epochs, evaluations; one file is one run."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.mllog import read

Write = Callable[..., Path]
FIRST = {"epoch_num": 1}
EPOCH = [("epoch_start", 70.0, None, FIRST), ("epoch_stop", 100.0, None, FIRST)]
WITHIN = [
    ("eval_start", 80.0, None, FIRST),
    ("eval_accuracy", 84.0, 0.75, FIRST),
    ("eval_stop", 85.0, None, FIRST),
]


def test_a_whole_run_is_read(mlperf_log: Write) -> None:
    path = mlperf_log(
        ("submission_benchmark", 0.0, "deepcam", {}),
        ("seed", 0.0, 333, {}),
        ("number_of_ranks", 0.0, 64, {}),
        ("train_samples", 0.0, 1000, {}),
        ("run_start", 1.0, None, {}),
        ("staging_start", 1.0, None, {}),
        ("staging_stop", 61.0, None, {}),
        EPOCH[0],
        *WITHIN,
        EPOCH[1],
        ("run_stop", 101.0, None, {"status": "success"}),
    )
    (log,) = read([path])
    assert (log.run, log.pair, log.strategy, log.seed, log.ranks) == ("result_0", "deepcam", "site", 333, 64)
    assert (log.state, log.error, log.stage_s) == ("done", None, 60.0)
    assert (log.started_at, log.ended_at) == (datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(101, UTC))
    row = log.epochs[0]
    assert (row["epoch"], row["val_acc1"], row["n_samples"]) == (1, 0.75, 1000)
    assert (row["train_s"], row["eval_s"], row["elapsed_s"]) == (25.0, 5.0, 25.0)  # the evaluation lies within


def test_an_evaluation_after_the_epoch_does_not_shorten_it(mlperf_log: Write) -> None:
    later = [(key, second + 30, value, data) for key, second, value, data in WITHIN]
    (log,) = read([mlperf_log(*EPOCH, *later)])
    assert (log.epochs[0]["train_s"], log.epochs[0]["eval_s"]) == (30.0, 5.0)


def test_the_last_accuracy_of_an_epoch_counts(mlperf_log: Write) -> None:
    (log,) = read([mlperf_log(*EPOCH, ("eval_accuracy", 80.0, 0.5, FIRST), ("eval_accuracy", 90.0, 0.6, FIRST))])
    assert log.epochs[0]["val_acc1"] == 0.6


def test_accuracies_without_epochs_are_rows_of_unknown_time(mlperf_log: Write) -> None:
    (log,) = read(
        [mlperf_log(("eval_accuracy", 80.0, 0.5, {"epoch_num": 4}), ("eval_accuracy", 90.0, 0.6, {"epoch_num": 8.0}))]
    )
    assert [(row["epoch"], row["val_acc1"], row.get("train_s")) for row in log.epochs] == [
        (4, 0.5, None),
        (8, 0.6, None),
    ]
    assert log.stage_s is None


def test_a_log_without_its_end_is_interrupted_and_an_aborted_run_failed(mlperf_log: Write) -> None:
    (cut,) = read([mlperf_log(*EPOCH)])
    assert (cut.state, cut.error) == ("interrupted", "its log has no run_stop")
    (gone,) = read([mlperf_log(*EPOCH, ("run_stop", 101.0, None, {"status": "aborted"}), name="result_1.txt")])
    assert (gone.state, gone.error) == ("failed", "run_stop says aborted")


def test_an_error_is_no_accuracy_and_is_left_out(mlperf_log: Write) -> None:
    (log,) = read([mlperf_log(*EPOCH, ("eval_error", 99.0, 0.12, FIRST))])
    assert "val_acc1" not in log.epochs[0]
    assert log.remarks == ("eval_error was left out: kbench has no column for it",)


def test_all_files_of_a_folder_are_runs(mlperf_log: Write) -> None:
    mlperf_log(*EPOCH)
    path = mlperf_log(*EPOCH, name="result_1.txt")
    assert [log.run for log in read([path.parent])] == ["result_0", "result_1"]


@pytest.mark.parametrize(
    "events, message",
    [
        ([("run_start", 1.0, None, {})] * 2, "holds several runs"),
        ([("run_start", 1.0, None, {})], "tells of no epoch"),
        ([("eval_accuracy", 1.0, 24.1, FIRST)], "tells of no epoch"),
        (
            [("eval_accuracy", 1.0, 0.5, {"epoch_num": 10**400})],
            "txt:2: epoch_num: must be a whole number from 0, got 1000",
        ),
        ([("eval_accuracy", 1.0, 0.5, {"epoch_num": float("inf")})], "txt:2: epoch_num: must be a whole number from 0"),
        ([("eval_accuracy", 10.0**30, 0.5, FIRST)], "txt:2: must be :::MLLOG and an object with key and time_ms"),
        ([("eval_accuracy", 1.0, 0.5, {"epoch_num": 1.5})], "txt:2: epoch_num: must be a whole number from 0, got 1.5"),
        (
            [("epoch_start", 5.0, None, FIRST), ("epoch_stop", 1.0, None, FIRST)],
            "txt:3: epoch_stop: is before its start",
        ),
    ],
)
def test_what_cannot_be_is_refused(events: list[tuple[object, ...]], message: str, mlperf_log: Write) -> None:
    with pytest.raises(ResultsError, match=message):
        read([mlperf_log(*events)])


def test_a_torn_line_and_another_format_are_refused(tmp_path: Path, mlperf_log: Write) -> None:
    path = mlperf_log(*EPOCH)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ResultsError, match="result_0.txt:3: must be :::MLLOG and an object"):
        read([path])
    other = tmp_path / "other.txt"
    other.write_text("epoch 0 accuracy 0.5\n")
    with pytest.raises(ResultsError, match="other.txt: has no line with :::MLLOG"):
        read([other])


def at(*events: tuple[str, float, int]) -> list[tuple[str, float, object, dict[str, int]]]:
    return [
        (key, second, 0.5 if key == "eval_accuracy" else None, {"epoch_num": epoch}) for key, second, epoch in events
    ]


def test_an_evaluation_beside_the_next_epoch_is_subtracted_from_its_own_alone(mlperf_log: Write) -> None:
    events = at(
        ("epoch_start", 0.0, 1), ("epoch_start", 25.0, 2), ("eval_start", 25.0, 1), ("eval_stop", 36.0, 1),
        ("epoch_stop", 36.0, 1), ("eval_start", 50.0, 2), ("eval_stop", 58.0, 2), ("epoch_stop", 58.0, 2),
    )  # fmt: skip
    (log,) = read([mlperf_log(*events)])
    assert [(row["train_s"], row["eval_s"]) for row in log.epochs] == [(25.0, 11.0), (25.0, 8.0)]
    assert log.remarks[0].startswith("1 epochs begin before the one before them ends")


def test_what_follows_the_end_of_the_run_is_no_part_of_it(mlperf_log: Write) -> None:
    after = [("epoch_start", 102.0, None, {"epoch_num": 2}), ("epoch_stop", 120.0, None, {"epoch_num": 2})]
    path = mlperf_log(*EPOCH, ("run_stop", 101.0, None, {"status": "success"}), *after)
    (log,) = read([path])
    assert [row["epoch"] for row in log.epochs] == [1] and log.state == "done"
    assert log.remarks == (f"{path}:5: 2 lines after run_stop were left out, 1 epochs with them",)


def test_a_torn_character_in_another_line_costs_nothing(mlperf_log: Write) -> None:
    path = mlperf_log(*EPOCH)
    path.write_bytes(b"13:  2%|\xe2\x96\n" + path.read_bytes())
    assert read([path])[0].epochs[0]["train_s"] == 30.0


@pytest.mark.parametrize("value", [-0.3, 24.1, 10**400, True, "x", {"BBOX": 0.3}, None])
def test_an_accuracy_that_is_no_fraction_is_left_out_and_the_times_stay(value: object, mlperf_log: Write) -> None:
    path = mlperf_log(*EPOCH, ("eval_accuracy", 99.0, value, FIRST))
    (log,) = read([path])
    assert (log.epochs[0]["train_s"], log.epochs[0].get("val_acc1")) == (30.0, None)
    first = f"(first {str(value)[:30]} in {path}:4)"
    assert log.remarks == (f"eval_accuracy was left out once: it is no fraction from 0 to 1 {first}",)


def test_the_loss_of_the_evaluation_has_its_column(mlperf_log: Write) -> None:
    (log,) = read([mlperf_log(*EPOCH, ("eval_loss", 99.0, 1.25, FIRST))])
    assert (log.epochs[0]["val_loss"], log.remarks) == (1.25, ())


@pytest.mark.parametrize("benchmark, metric", [("deepcam", "mean_iou"), ("resnet", "top1"), ("oc20", "accuracy")])
def test_an_accuracy_is_called_what_the_benchmark_measures(benchmark: str, metric: str, mlperf_log: Write) -> None:
    (log,) = read([mlperf_log(("submission_benchmark", 0.0, benchmark, {}), *EPOCH, *WITHIN)])
    assert log.metric == metric


def test_a_seed_that_no_table_can_hold_is_unknown(mlperf_log: Write) -> None:
    assert read([mlperf_log(("seed", 0.0, 2**63, {}), *EPOCH)])[0].seed is None


OF_V06 = """\
:::MLL 1558631900.000 submission_benchmark: {"value": "resnet", "metadata": {"lineno": 1, "file": "a.py"}}
:::MLL 1558631910.000 epoch_start: {"value": null, "metadata": {"epoch_num": 1, "lineno": 3, "file": "a.py"}}
:::MLL 1558631940.500 epoch_stop: {"value": null, "metadata": {"epoch_num": 1, "lineno": 4, "file": "a.py"}}
:::MLL 1558631941.000 eval_accuracy: {"value": 0.25, "metadata": {"epoch_num": 1, "lineno": 5, "file": "a.py"}}
:::MLL 1558631942.000 run_stop: {"value": null, "metadata": {"status": "success", "lineno": 6, "file": "a.py"}}
"""
OF_V05 = """\
:::MLPv0.5.0 resnet 1541756398.527 (train.py:41) run_start
:::MLPv0.5.0 resnet 1541756399.000 (train.py:42) train_epoch: 0
:::MLPv0.5.0 resnet 1541756460.000 (train.py:43) eval_start: 0
:::MLPv0.5.0 resnet 1541756470.000 (train.py:44) eval_accuracy: {"epoch": 0, "value": 0.25}
:::MLPv0.5.0 resnet 1541756471.000 (train.py:45) eval_stop: 0
:::MLPv0.5.0 resnet 1541756472.000 (train.py:46) run_stop: {"success": true}
"""


def test_tags_of_the_first_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "v06.txt").write_text(OF_V06)
    (tmp_path / "v05.txt").write_text(OF_V05)
    six, five = read([tmp_path / "v06.txt"])[0], read([tmp_path / "v05.txt"])[0]
    assert (six.state, six.metric) == ("done", "top1")
    assert [(row["epoch"], row["val_acc1"], row["train_s"]) for row in six.epochs] == [(1, 0.25, 30.5)]
    assert [(row["epoch"], row["val_acc1"], row["eval_s"], row.get("train_s")) for row in five.epochs] == [
        (0, 0.25, 11.0, None)
    ]
    assert five.state == "done" and "train_epoch has no stop in this version" in five.remarks[0]
