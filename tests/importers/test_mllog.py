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
        ([("eval_accuracy", 1.0, 24.1, FIRST)], r"txt:2: eval_accuracy: must be in \[0, 1\], got 24.1"),
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
