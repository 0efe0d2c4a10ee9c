"""Logs of CORDS' trainings: epochs from 1 there, cumulative seconds, shares on lines of their own."""

from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.importers.cords import read

BEGIN = "[05/17 18:06:54] kakurenbo_train_sl2  23/05/17 18:06:33 INFO: "


def line(epoch: int, accuracy: object, timing: object) -> str:
    return (
        f"{BEGIN}Epoch: {epoch} , Training Loss: 0.1 , Training Accuracy: 0.9 , Test Loss: 0.2 , "
        f"Test Accuracy: {accuracy} , Best Accuracy: 0.5 , Timing: {timing}\n"
    )


WHOLE = (
    line(0, 0.01, 0) + f"{BEGIN}0.0000000000\n" + line(1, 0.25, 30.5) + f"{BEGIN}0.0000000000\n"
    f"{BEGIN}Model checkpoint saved at epoch: 2\n" + line(2, "nan", 50.5) + f"{BEGIN}0.1250000000\n"
)


def written(folder: Path, text: str) -> Path:
    (folder / "run.log").write_text(text)
    return folder


def test_epochs_after_the_first_line_are_trained_and_seconds_are_differences(tmp_path: Path) -> None:
    (log,) = read([written(tmp_path, WHOLE)])
    assert [dict(row) for row in log.epochs] == [
        {"phase": "train", "epoch": 0, "val_acc1": 0.25, "train_s": 30.5, "hidden_share": 0.0, "elapsed_s": 30.5},
        {"phase": "train", "epoch": 1, "train_s": 20.0, "hidden_share": 0.125, "elapsed_s": 50.5},
    ]
    remarks = "\n".join(log.remarks)
    for text in ("Test Loss was left out", "epoch 0, before any training", "1 other lines", "1 value NaN"):
        assert text in remarks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE + line(1, 0.5, 70), "run.log:8: epoch 1 comes after 2"),
        (line(0, 0.1, 0) + line(1, 0.5, 30) + line(2, 0.5, 30), "Timing: must grow"),
        (line(1, 1.5, 30), r"Test Accuracy: must be in \[0, 1\]"),
        (line(0, 0.1, 0), "tells of no epoch of training"),
        ("something else\n", "tells of no epoch of training"),
        (line(1, 0.5, 30) + f"{BEGIN}1.5\n", r"share: must be in \[0, 1\]"),
        (line(1, 0.5, 30) + f"{BEGIN}1.2.3\n", "share: must be a finite number"),
    ],
)
def test_what_is_no_such_log_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=message):
        read([written(tmp_path, text)])
