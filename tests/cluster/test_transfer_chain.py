"""The transfer experiment end to end: pre-training on FractalDB, fine-tuning on CIFAR, on a real Slurm."""

import io
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
import torch
from users import User

from kbench.data.sources.fractal.make import make as make_fractal
from kbench.data.sources.fractal.render import RenderSettings
from kbench.data.store import prepare
from kbench.engine.checkpoint import unsealed
from kbench.records.folders import ExperimentDir

pytestmark = pytest.mark.slurm

STRATEGIES = ["baseline", "iswr", "forget", "sb", "kakurenbo"]
EXPERIMENT = """\
name: chain
pairs:
  - name: up
    model: timm:deit_tiny_patch16_224
    dataset: fractal-8
    recipe: &recipe {epochs: 1, global_batch: 64, lr: 0.001, optimizer: adamw, schedule: cosine, image_size: 32}
  - {name: cifar10, model: "timm:deit_tiny_patch16_224", dataset: cifar10, starts_from: up, recipe: *recipe}
  - {name: cifar100, model: "timm:deit_tiny_patch16_224", dataset: cifar100, starts_from: up, recipe: *recipe}
strategies:
  - baseline
  - iswr
  - forget: {fraction: 0.3, score_epochs: 1}
  - sb: {prime_epochs: 0}
  - kakurenbo: {fraction: 0.3, milestones: [], shares: [1.0]}
seeds: [0]
"""
SITE = """\
launcher: slurm
threads_per_rank: 1
data_root: data
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, formats: ModuleType) -> Path:
    """FractalDB of eight classes, and a handful of CIFAR in its own format."""
    root = tmp_path_factory.mktemp("data")
    make_fractal(root / "fractal-8", 8, settings=RenderSettings(side=32, points=1000, instances=1))
    formats.cifar10(root / "cifar10", n_batch=20, n_val=30)
    formats.cifar100(root / "cifar100", n_train=100, n_val=100)
    for dataset in ("fractal-8", "cifar10", "cifar100"):
        prepare.prepare(dataset, root=str(root), given=None, download=False, workers=1, report=lambda _: None)
    return root


@pytest.fixture
def chained(on_slurm: User, data: Path) -> User:
    """A user whose chain has been handed to Slurm, and is done."""
    user = on_slurm
    (user.folder / "data").symlink_to(data)
    (user.folder / "chain.yaml").write_text(EXPERIMENT)
    (user.folder / "site.yaml").write_text(SITE)
    done = user.calls("run", "chain.yaml", "--site", "site.yaml", "--wait")
    assert done.returncode == 0, done.stderr
    return user


def test_each_fine_tuning_waits_for_the_pre_training_of_its_strategy_and_begins_with_its_weights(
    chained: User,
) -> None:
    folder = ExperimentDir(chained.folder / "results" / "chain")
    scripts = [path.read_text() for path in (folder.path / "jobs").glob("*.sh")]
    assert sum("--dependency=aftercorr:" in text for text in scripts) == 2  # a script for each downstream set
    runs = pq.read_table(folder.runs).to_pylist()
    assert sorted((row["pair"], row["strategy"]) for row in runs) == sorted(
        (pair, strategy) for pair in ("up", "cifar10", "cifar100") for strategy in STRATEGIES
    )
    upstream = {row["run_id"]: row for row in runs if row["pair"] == "up"}
    for row in runs:
        assert row["state"] == "done", row["error"]
        if row["pair"] != "up":
            before = upstream[row["upstream"]]
            assert (before["strategy"], before["seed"]) == (row["strategy"], row["seed"])
            assert row["started_at"] > before["ended_at"]
    begun = {row["strategy"]: row["weights_digest"] for row in runs if row["pair"] == "cifar10"}
    assert len(set(begun.values())) == len(STRATEGIES), "each from its own weights"
    assert len({row["weights_digest"] for row in upstream.values()}) == 1

    content = unsealed(folder.run(next(iter(upstream))).checkpoint.read_bytes())
    weights = torch.load(io.BytesIO(content), weights_only=True)["state"]["module"]
    assert weights["head.weight"].shape[0] == 8 and weights["pos_embed"].shape[1] == 5  # 8 classes, 2 x 2 patches

    table = chained.calls("compare", "chain").stdout
    head = next(line for line in table.splitlines() if line.startswith("strategy") and line.split()[1:] == STRATEGIES)
    below = table[table.index(head) :]
    for wanted in ("upstream loss", "upstream train s", "upstream time", "cifar10: final acc", "cifar100: final acc"):
        row = next(line for line in below.splitlines() if line.startswith(wanted))
        assert len(row.removeprefix(wanted).split()) >= len(STRATEGIES), row
