"""The authors' log folders: by position, a stage where epochs start over, shares an epoch late."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.kakurenbo import read

Write = Callable[..., Path]


def test_rows_are_read_by_position_though_the_header_names_one_field_less(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("a", [100.5, 99.25])])
    assert log.run == "a"
    assert [row["train_s"] for row in log.epochs] == [100.5, 99.25]
    assert [row["elapsed_s"] for row in log.epochs] == [100.5, 199.75]
    assert [(row["phase"], row["epoch"]) for row in log.epochs] == [("train", 0), ("train", 1)]


def test_what_the_log_does_not_tell_is_absent_not_zero(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("a", [100.0])])
    assert set(log.epochs[0]) == {"phase", "epoch", "train_s", "elapsed_s"}
    assert (log.ranks, log.seed, log.started_at, log.stage_s) == (None, None, None, None)


def test_twelve_fields_as_of_the_other_scripts_are_read_too(kakurenbo_folder: Write) -> None:
    folder = kakurenbo_folder("a", [100.0])
    path = folder / "report_time.log"
    path.write_text(path.read_text().rstrip("\n") + "\t0.5\n")
    assert read([folder])[0].epochs[0]["train_s"] == 100.0


def test_a_line_of_the_fraction_log_tells_of_the_epoch_before(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("a", [1, 1, 1, 1], shares=[0, 0, 0.3, 0.25])])
    assert [row.get("hidden_share") for row in log.epochs] == [0, 0.3, 0.25, None]
    assert [row.get("n_hidden") for row in log.epochs] == [0, None, None, None]  # of how many, it does not tell


def test_a_line_more_than_epochs_tells_of_the_last_epoch_that_ended(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("a", [1, 1], shares=[0, 0, 0.3])])
    assert [row.get("hidden_share") for row in log.epochs] == [0, 0.3]


def test_epochs_that_start_over_are_another_stage_and_its_time_counts(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("forget", [10, 10, 20, 20, 20], epochs=[0, 1, 0, 1, 2])])
    stages = [(row["phase"], row["epoch"]) for row in log.epochs]
    assert stages == [("stage1", 0), ("stage1", 1), ("train", 0), ("train", 1), ("train", 2)]
    assert log.epochs[-1]["elapsed_s"] == 80


def test_the_last_epoch_of_a_stage_has_no_share_of_the_next_stage(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("forget", [1] * 4, epochs=[0, 1, 0, 1], shares=[0, 0, 0, 0.3])])
    assert [row.get("hidden_share") for row in log.epochs] == [0, None, 0.3, None]


def test_accuracies_of_the_last_stage_only_go_to_the_last_stage(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("forget", [1] * 5, epochs=[0, 1, 0, 1, 2], accuracy=[0.5, 0.6, 0.7])])
    assert [row.get("val_acc1") for row in log.epochs] == [None, None, 0.5, 0.6, 0.7]


def test_accuracies_alone_count_the_epochs(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("baseline", accuracy=[0.5, 0.6])])
    assert [(row["epoch"], row["val_acc1"]) for row in log.epochs] == [(0, 0.5), (1, 0.6)]
    assert "train_s" not in log.epochs[0]


def test_what_was_hidden_is_counted_where_the_log_counts_it(kakurenbo_folder: Write) -> None:
    lines = ["1\ttensor(0.3)\tH torch.return_types.histogram(", "C\t1\t5\t25\t30\t100"]
    (log,) = read([kakurenbo_folder("k", [1, 1], shares=[0, 0.1], counts=lines)])
    assert (log.epochs[1]["n_hidden"], log.epochs[1]["n_samples"]) == (25, 100)
    assert (log.epochs[1]["hidden_share"], log.epochs[1]["ceiling"]) == (0.25, 0.3)


def test_losses_of_one_batch_are_not_taken_for_the_epochs(kakurenbo_folder: Write) -> None:
    folder = kakurenbo_folder("a", [1])
    (folder / "loss_per_epoch.log").write_text("0.5\n")
    (log,) = read([folder])
    assert "train_loss" not in log.epochs[0]
    assert log.remarks == ("loss_per_epoch.log was not read: it tells of one batch",)


def test_each_folder_below_is_a_run(kakurenbo_folder: Write) -> None:
    kakurenbo_folder("lagfix", [1])
    folder = kakurenbo_folder("sbfix", [2])
    assert [log.run for log in read([folder.parent])] == ["lagfix", "sbfix"]


def test_files_of_one_folder_are_one_run(kakurenbo_folder: Write) -> None:
    folder = kakurenbo_folder("a", [1, 1], shares=[0, 0])
    (log,) = read([folder / "report_time.log", folder / "fraction_per_epoch.log"])
    assert log.epochs[0]["hidden_share"] == 0


@pytest.mark.parametrize(
    "line, message",
    [
        ("[0]\t2\t10.0\t1.0", r"report_time.log:4: must be \[rank\], epoch and 9 or 10 times, got"),
        ("[0]\t2" + "\tabc" * 9, "report_time.log:4: time: must be a finite number, got 'abc'"),
        ("[0]\t2" + "\tnan" * 9, "report_time.log:4: time: must be a finite number, got 'nan'"),
        ("[0]\t2" + "\t0.0" * 9, "report_time.log:4: EPOCH: must be above 0 seconds, got 0.0"),
        ("[0]\t5" + "\t1.0" * 9, "report_time.log:4: epoch: must be 2, or 0 where a stage begins, got 5"),
    ],
)
def test_a_line_that_cannot_be_is_named(line: str, message: str, kakurenbo_folder: Write) -> None:
    folder = kakurenbo_folder("a", [1, 1])
    with (folder / "report_time.log").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ResultsError, match=message):
        read([folder])


@pytest.mark.parametrize(
    "facts, message",
    [
        ({"seconds": [1, 1, 1], "shares": [0, 0]}, "fraction_per_epoch.log: has 2 lines for 3 epochs"),
        ({"seconds": [1, 1], "accuracy": [0.5]}, "val_accuracy_per_epoch.log: has 1 lines for 2 epochs"),
        (
            {"seconds": [1], "accuracy": [95.03]},
            r"val_accuracy_per_epoch.log:1: val_acc1: must be in \[0, 1\], got 95.03",
        ),
        (
            {"seconds": [1], "counts": ["C\t0\t5\t40\t30\t100"]},
            "loss_hist_per_epoch.log:1: hidden 40, at most 30, of 100",
        ),
        ({"seconds": [1], "counts": ["C\t0\t5"]}, "loss_hist_per_epoch.log:1: must be C and 5 numbers"),
        ({"shares": [0, 0]}, "nothing in it counts epochs"),
    ],
)
def test_files_that_do_not_fit_are_named(facts: dict[str, list[object]], message: str, kakurenbo_folder: Write) -> None:
    with pytest.raises(ResultsError, match=message):
        read([kakurenbo_folder("a", **facts)])


def test_an_empty_fraction_log_says_nothing(kakurenbo_folder: Write) -> None:
    folder = kakurenbo_folder("iswr", [1, 1])
    (folder / "fraction_per_epoch.log").write_text("")
    (log,) = read([folder])
    assert "hidden_share" not in log.epochs[0]
    assert log.remarks == ("fraction_per_epoch.log is empty",)


def test_a_folder_without_such_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="holds none of report_time.log"):
        read([tmp_path])


def test_epochs_that_begin_again_are_said_to_be_stages(kakurenbo_folder: Write) -> None:
    (log,) = read([kakurenbo_folder("a", [1.0] * 5, epochs=[0, 1, 0, 1, 2])])
    assert any("counted as 2 stages of one run, stage1 of 2 epochs, train of 3 epochs" in each for each in log.remarks)
