"""Event files, written by a real writer and read back."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from kbench.errors import ConfigError, ResultsError
from kbench.importers.tensorboard import read


def events(folder: Path, tags: dict[str, Sequence[tuple[int, float]]]) -> Path:
    """Write scalars, a step and a value each; returns the event file."""
    with SummaryWriter(str(folder), write_to_disk=True) as writer:
        for tag, values in tags.items():
            for step, value in values:
                writer.add_scalar(tag, value, step, walltime=1e9 + step)
    return next(folder.glob("*tfevents*"))


def test_scalars_are_read_back(tmp_path: Path) -> None:
    events(tmp_path / "a", {"Accuracy/test": [(0, 50.0), (1, 95.86)], "val_loss": [(0, 2.5), (1, 2.0)]})
    (log,) = read([tmp_path / "a"])
    assert (log.run, log.state) == ("a", "done")
    assert [row["epoch"] for row in log.epochs] == [0, 1]
    assert [row["val_acc1"] for row in log.epochs] == pytest.approx([0.5, 0.9586])
    assert log.epochs[1]["val_loss"] == 2.0
    assert log.epochs[1]["ended_at"] == "2001-09-09T01:46:41+00:00"
    assert "train_s" not in log.epochs[0]  # times of day are no training time


def test_every_folder_below_is_a_run_and_percent_is_told_over_all(tmp_path: Path) -> None:
    events(tmp_path / "a", {"val_acc": [(0, 0.9)]})
    events(tmp_path / "b", {"val_acc": [(0, 90.0)]})
    first, second = read([tmp_path])
    assert (first.run, second.run) == ("a", "b")
    assert first.epochs[0]["val_acc1"] == pytest.approx(0.009)
    assert second.epochs[0]["val_acc1"] == pytest.approx(0.9)


def test_steps_that_are_no_epochs_are_refused(tmp_path: Path) -> None:
    events(tmp_path / "a", {"val_acc": [(0, 0.1), (390, 0.2)]})
    with pytest.raises(ResultsError, match="val_acc: goes from step 0 to 390, so that steps are no epochs"):
        read([tmp_path / "a"])


def test_a_tag_without_a_column_is_left_out_and_said(tmp_path: Path) -> None:
    events(tmp_path / "a", {"val_acc": [(0, 0.5)], "gradient_norm": [(0, 3.0)]})
    (log,) = read([tmp_path / "a"])
    read_as = "val_acc was read as fractions: no value is above 1, the largest is 0.5; --percent if it is percent"
    assert log.remarks == ("gradient_norm was left out: kbench has no column for it", read_as)


def test_nothing_that_has_a_column_is_refused(tmp_path: Path) -> None:
    events(tmp_path / "a", {"gradient_norm": [(0, 3.0)]})
    with pytest.raises(ResultsError, match="no scalar that kbench has a column for, got gradient_norm"):
        read([tmp_path / "a"])


def test_a_torn_last_record_leaves_the_run_interrupted(tmp_path: Path) -> None:
    path = events(tmp_path / "a", {"val_acc": [(0, 0.5), (1, 0.6)]})
    path.write_bytes(path.read_bytes()[:-7])
    (log,) = read([path])
    assert (log.state, log.error) == ("interrupted", "its last record is torn")
    assert [row["epoch"] for row in log.epochs] == [0]


def test_damage_and_other_files_are_refused(tmp_path: Path) -> None:
    path = events(tmp_path / "a", {"val_acc": [(0, 0.5)]})
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # within the last record
    path.write_bytes(data)
    with pytest.raises(ResultsError, match="is damaged: wrong checksum at byte"):
        read([path])
    path.write_text("epoch,val_acc1\n0,0.5\n")
    with pytest.raises(ResultsError, match="is no event file"):
        read([path])
    path.write_bytes(b"no")
    with pytest.raises(ResultsError, match="is no event file"):
        read([path])
    path.write_bytes(b"")
    with pytest.raises(ResultsError, match="is empty"):
        read([path])
    path.unlink()
    with pytest.raises(ResultsError, match="holds no event file"):
        read([tmp_path])


def test_without_the_library_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = events(tmp_path / "a", {"val_acc": [(0, 0.5)]})
    monkeypatch.setitem(sys.modules, "tensorboardX.proto.event_pb2", None)
    with pytest.raises(ConfigError, match="needs the library tensorboardX") as raised:
        read([path])
    assert raised.value.hint == "pip install 'kbench[tensorboard]'"


def test_a_restart_takes_back_its_step_and_all_after_it(tmp_path: Path) -> None:
    from tensorboardX import SummaryWriter

    for purge, steps in ((None, range(10)), (5, range(5, 8))):
        with SummaryWriter(str(tmp_path / "run"), purge_step=purge, filename_suffix=str(purge)) as writer:
            for step in steps:
                writer.add_scalar("val_acc", 0.1 if purge is None else 0.5, step)
    files = sorted((tmp_path / "run").iterdir(), key=lambda path: path.name.endswith("5"))
    for number, path in enumerate(files):
        path.rename(path.with_name(f"events.out.tfevents.{number}"))
    (log,) = read([tmp_path / "run"])
    assert [row["val_acc1"] for row in log.epochs] == pytest.approx([0.1] * 5 + [0.5] * 3)
    assert any("5 values of steps that a restart took back were left out" in remark for remark in log.remarks)


def test_a_folder_without_a_column_is_left_out_beside_others(tmp_path: Path) -> None:
    events(tmp_path / "a", {"val_acc": [(0, 0.5)]})
    events(tmp_path / "a" / "hparams", {"hparam/score": [(0, 0.5)]})
    (log,) = read([tmp_path / "a"])
    assert f"{tmp_path / 'a' / 'hparams'} was left out: it has no scalar with a column" in log.remarks
