"""DeepCAM from files to scores: the real loader, network, task and loop on small files in the real format."""

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from kbench.data import DATASETS
from kbench.data.deepcam_prepared import load as open_files
from kbench.data.deepcam_prepared import prepare
from kbench.data.deepcam_synthetic import make
from kbench.data.items import Items
from kbench.data.view import Looked, View
from kbench.data.work import Work
from kbench.engine.comm import Comm
from kbench.engine.loop import Run, train
from kbench.engine.samples import SampleStore
from kbench.engine.timer import PhaseTimer
from kbench.spec.experiment import Pair
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats
from kbench.workloads.segmentation import CLASS_WEIGHT, Segmentation, iou
from kbench.workloads.workload import Workload

CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "configs"
SHORT = {"epochs": 1, "global_batch": 2, "warmup_epochs": 0, "milestones": []}  # of the published recipe
FIVE = {
    "baseline": {},
    "iswr": {},
    "forget": {"score_epochs": 1},
    "sb": {"prime_epochs": 0, "beta": 0.05},
    "kakurenbo": {"fraction": 0.5, "milestones": [], "shares": [1.0]},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with four training and three validation samples of 32 x 48 pixels."""
    folder = tmp_path_factory.mktemp("data") / "deepcam"
    make(folder, n_train=4, n_val=3, shape=(32, 48, 16))
    prepare(Work(dataset="deepcam", card=DATASETS["deepcam"], folder=folder, look_in=(folder,)))
    return folder.parent


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def next_of(part: Items) -> list[Looked]:
    """All samples of a part, in one batch."""
    return list(part.batches([torch.arange(len(part))], View()))


def pair() -> Pair:
    """The pair of configs/deepcam.yaml that the paper's scale is written down in, cut short."""
    raw = yaml.safe_load((CONFIGS / "deepcam.yaml").read_text())["pairs"][0]
    raw["recipe"] |= SHORT
    return Pair.model_validate(raw)


@pytest.mark.parametrize("name", FIVE)
def test_an_epoch_of_each_method(root: Path, name: str) -> None:
    workload = Workload(pair(), CPU, root=str(root))
    run = Run(
        strategy=load(name, FIVE[name]),
        workload=workload,
        comm=Comm(),
        store=SampleStore(workload.n_samples, workload.n_classes, CPU),
        timer=PhaseTimer(CPU),
        seed=0,
        attempt=1,
    )
    *_, last = train(run)
    assert workload.metric == "mean_iou" and workload.dataset_note is not None
    assert last.n_samples == 4 and 0 < last.n_trained <= 4 and last.n_trained % 2 == 0
    assert math.isfinite(last.train_loss) and last.val_loss is not None
    assert 0 < last.val_acc1 < 1 and last.val_acc5 is None
    assert (last.n_scored > 0) == (name == "sb")
    stats = run.store.view()
    assert stats.known.any() and ((stats.confidence > 0) & (stats.confidence < 1)).all()


def test_synthetic_weather_can_be_learnt_and_its_easy_samples_are_hidden(tmp_path: Path) -> None:
    """A small network in place of the real one, which would need minutes."""
    make(tmp_path, n_train=32, n_val=8, shape=(32, 48, 16))
    prepare(Work(dataset="deepcam", card=DATASETS["deepcam"], folder=tmp_path, look_in=(tmp_path,)))
    ((_, x, y),), ((_, val_x, val_y),) = (next_of(part) for part in open_files(tmp_path))
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 3, 3, padding=1)
    )
    optimizer, task = torch.optim.AdamW(network.parameters(), lr=1e-2), Segmentation(CLASS_WEIGHT)
    for _ in range(6):
        for rows in torch.randperm(32).split(8):
            optimizer.zero_grad()
            task.criterion(network(x[rows]), y[rows], label_smoothing=0.0).mean().backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        scores, measured = task.scores(task.counts(network(val_x), val_y)), task.measure(network(x), y)
    blind = float(iou(torch.zeros_like(val_y), val_y, n_classes=3).mean())
    assert scores.val_acc1 > blind + 0.15
    stats = SampleStats(*measured, age=torch.zeros(32, dtype=torch.int16))
    assert 0 < stats.correct.float().mean() < 1, "IoU 0.82 is where good and bad samples part"
    assert measured[2].min() < 0.7 < measured[2].max(), "and 0.7 where sure and unsure ones do"
    epoch = Epoch(
        phase="train", index=6, epochs=9, n_samples=32, n_classes=3, warmup=False, device=CPU, rng=torch.Generator()
    )
    hidden = load("kakurenbo", {"fraction": 0.5, "milestones": [], "shares": [1.0]}).plan(epoch, stats).refresh
    assert hidden is not None and 0 < len(hidden) < 16
    assert (stats.correct & (stats.confidence >= 0.7))[hidden].all()


@pytest.mark.dist
def test_two_ranks_train_and_find_the_score_that_one_rank_finds(
    root: Path, tmp_path: Path, kbench: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    short = [f"pairs.*.recipe.{key}={json.dumps(value)}" for key, value in SHORT.items()]
    asked = [*short, "name=two", "seeds=[0]", "strategies=[baseline]", "ranks_per_node=2", "threads_per_rank=1"]
    sets = [word for one in asked for word in ("--set", one)]
    done = kbench(
        "run", str(CONFIGS / "deepcam.yaml"), "--only", "deepcam-lamb-2048", *sets, env={"KBENCH_DATA": str(root)}
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "results" / "two" / "runs").iterdir()
    (record,) = map(json.loads, (folder / "epochs.jsonl").read_text().splitlines())
    assert record["n_trained"] == 4 and record["n_dropped"] == 0
    workload = Workload(pair(), CPU, root=str(root))
    network = workload.model().eval()
    network.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["state"]["module"])
    (folder / "checkpoint.pt").unlink()  # 680 MB
    ((_, x, y),) = workload.val_batches([torch.arange(len(workload.val))])
    with torch.no_grad():
        scores = workload.task.scores(workload.task.counts(network(x), y))
    assert record["val_acc1"] == pytest.approx(scores.val_acc1, rel=1e-4)
    assert record["val_loss"] == pytest.approx(scores.val_loss, rel=1e-4)
