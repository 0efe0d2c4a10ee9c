"""DeepCAM from files to scores: the real loader, network, task and loop on small files in the real format."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kbench.data import DATASETS
from kbench.data.loader import SampleReader
from kbench.data.sources.deepcam import load as open_files
from kbench.data.sources.deepcam import prepare
from kbench.data.sources.deepcam_synthetic import make
from kbench.data.store.prepare_job import PrepareJob
from kbench.data.views.spec import ViewSpec
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats
from kbench.tasks.classification import Results
from kbench.tasks.segmentation import CLASS_WEIGHT, Segmentation, iou

CPU = torch.device("cpu")
N_TRAIN, N_VAL = 6, 3  # validation does not divide by the two ranks


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> list[dict[str, Any]]:
    """What two gloo ranks saw of 32 x 48 pixels, in the order of the ranks."""
    folder = tmp_path_factory.mktemp("data") / "deepcam"
    make(folder, n_train=N_TRAIN, n_val=N_VAL, shape=(32, 48, 16))
    prepare(PrepareJob(dataset="deepcam", info=DATASETS["deepcam"], folder=folder, look_in=(folder,)))
    program = Path(__file__).with_name("deepcam_rank.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), "2", str(folder.parent / "meeting"), str(folder.parent)],
            env=clean_env | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=900) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return [json.loads(out) for out, _ in said]


@pytest.mark.dist
@pytest.mark.parametrize("name", ["baseline", "iswr", "forget", "sb", "kakurenbo"])
def test_an_epoch_of_each_method_on_two_ranks(told: list[dict[str, Any]], name: str) -> None:
    one, two = (rank[name] for rank in told)
    for key in ("n_trained", "n_scored", "train_loss", "val_acc1", "known", "confidence", "error_norm"):
        assert one[key] == two[key], f"ranks disagree about {key}"
    assert one["n_samples"] == N_TRAIN and one["n_trained"] == 4
    assert (one["n_scored"] > 0) == (name == "sb")
    assert math.isfinite(one["train_loss"]) and 0 < one["val_acc1"] < 1 and one["val_acc5"] is None
    assert sum(one["known"]) >= 4 and all(0 < confidence < 1 for confidence in one["confidence"])
    assert all(0 < error_norm < math.sqrt(2) for error_norm in one["error_norm"])


@pytest.mark.dist
def test_two_ranks_find_the_score_that_one_finds(told: list[dict[str, Any]]) -> None:
    for rank in told:
        assert rank["metric"] == "mean_iou" and "6 training and 3 validation" in rank["note"]
        assert rank["together"][:2] == pytest.approx(rank["alone"][:2], rel=1e-5) and rank["together"][2] is None


def test_synthetic_weather_can_be_learnt_and_only_then_easy_samples_are_hidden(tmp_path: Path) -> None:
    """A small network in place of the real one, which needs minutes."""
    make(tmp_path, n_train=32, n_val=8, shape=(32, 48, 16))
    prepare(PrepareJob(dataset="deepcam", info=DATASETS["deepcam"], folder=tmp_path, look_in=(tmp_path,)))
    (x, y), (val_x, val_y) = (everything(part) for part in open_files(tmp_path))
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 3, 3, padding=1)
    )
    optimizer, task = torch.optim.AdamW(network.parameters(), lr=1e-2), Segmentation(CLASS_WEIGHT)
    with torch.no_grad():
        before = task.measure(network(x), y)
    for _ in range(8):
        for rows in torch.randperm(32).split(8):
            optimizer.zero_grad()
            task.criterion(network(x[rows]), y[rows], label_smoothing=0.0).mean().backward()
            optimizer.step()
    with torch.no_grad():
        after, scores = task.measure(network.eval()(x), y), task.scores(task.counts(network(val_x), val_y))
    blind = float(iou(torch.zeros_like(val_y), val_y, n_classes=3).mean())
    assert scores.val_acc1 > blind + 0.2
    assert hidden(before) == 0 and hidden(after) == 16


def everything(part: SampleReader) -> tuple[Tensor, Tensor]:
    """The fields and classes of all samples."""
    ((_, x, y),) = part.batches([torch.arange(len(part))], ViewSpec())
    return x, y


def hidden(measured: Results) -> int:
    """How many of 32 samples KAKURENBO hides, when half may be hidden."""
    epoch = Epoch(
        phase="train", index=1, epochs=9, n_samples=32, n_classes=3, warmup=False, device=CPU, rng=torch.Generator()
    )
    stats = SampleStats(*measured, age=torch.zeros(32, dtype=torch.int16))
    plan = load("kakurenbo", {"fraction": 0.5, "milestones": [], "shares": [1.0]}).plan(epoch, stats)
    return 32 - len(plan.indices)
