"""Data copied to a node's own storage: what is copied, where it is read, and what it costs."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pyarrow.parquet as pq
import pytest

from kbench.data.store import manifest, prepare
from kbench.data.store.stage import read_once

EXPERIMENT = """\
name: staged
pairs:
  - model: digits-cnn
    dataset: cifar10
    recipe: {epochs: 1, global_batch: 20, lr: 0.05}
strategies: [baseline]
seeds: [0]
"""


@pytest.fixture
def data(tmp_path: Path, formats: ModuleType) -> Path:
    """A little of CIFAR-10 in its own format, prepared."""
    root = tmp_path / "data"
    formats.cifar10(root / "cifar10", n_batch=20, n_val=30)
    prepare.prepare("cifar10", root=str(root), given=None, download=False, workers=1, report=lambda _: None)
    return root


def test_data_is_copied_below_scratch_and_its_time_is_apart_and_in_the_total(kbench, tmp_path: Path, data) -> None:
    (tmp_path / "staged.yaml").write_text(EXPERIMENT)
    settings = ["--set", f"data_root={data}", "--set", "scratch=$HERE/node", "--set", "threads_per_rank=1"]
    done = kbench("run", "staged.yaml", *settings, env={"HERE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    copied = {path.name for path in (tmp_path / "node" / "cifar10").iterdir()}
    assert copied < {path.name for path in (data / "cifar10").iterdir()}, "what training reads, and no archives"
    (row,) = pq.read_table(tmp_path / "results" / "staged" / "runs.parquet").to_pylist()
    assert row["stage_s"] > 0 and row["first_read_s"] > 0
    assert row["total_s"] == pytest.approx(row["stage_s"] + row["total_train_s"] + row["total_eval_s"])
    table = kbench("compare", "staged").stdout
    assert "stage" in table and "not the official" in " ".join(table.split()), table


def test_data_is_read_once_where_the_memory_holds_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = manifest.read(data / "cifar10")
    assert written and read_once("cifar10", str(data)) == sum(written.files.values()) > 0
    assert read_once("digits", str(data)) is None, "it travels with a library"
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100))
    assert read_once("cifar10", str(data)) is None


def test_data_that_is_not_there_is_told_before_anything_is_started(kbench, tmp_path: Path) -> None:
    (tmp_path / "staged.yaml").write_text(EXPERIMENT)
    done = kbench("run", "staged.yaml", env={"KBENCH_DATA": str(tmp_path / "empty")})
    assert done.returncode == 4
    assert "cifar10: no folder cifar10 in" in done.stderr and "kbench data prepare cifar10" in done.stderr
    assert not (tmp_path / "results").exists()


def test_check_warns_of_data_that_is_not_there_and_goes_on(kbench, tmp_path: Path) -> None:
    (tmp_path / "staged.yaml").write_text(EXPERIMENT)
    done = kbench("check", "staged.yaml", env={"KBENCH_DATA": str(tmp_path / "empty")})
    assert done.returncode == 0, done.stderr
    assert "warning: cifar10: no folder" in done.stderr
