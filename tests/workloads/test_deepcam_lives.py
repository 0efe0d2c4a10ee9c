"""DeepCAM from files to scores: the real loader, network, task and loop on small files in the real format."""

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from kbench.data import DATASETS
from kbench.data.deepcam_prepared import load as open_files
from kbench.data.deepcam_prepared import prepare
from kbench.data.deepcam_synthetic import make
from kbench.data.items import Items
from kbench.data.view import View
from kbench.data.work import Work
from kbench.engine.comm import Comm
from kbench.engine.loop import Run, train
from kbench.engine.samples import SampleStore
from kbench.engine.timer import PhaseTimer
from kbench.spec.experiment import Pair
from kbench.strategies import load
from kbench.strategies.api import Epoch, SampleStats
from kbench.workloads.segmentation import CLASS_WEIGHT, Segmentation, iou
from kbench.workloads.task import Results
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


def everything(part: Items) -> tuple[Tensor, Tensor]:
    """The fields and classes of all samples."""
    ((_, x, y),) = part.batches([torch.arange(len(part))], View())
    return x, y


def hidden(measured: Results) -> int:
    """How many of 32 samples KAKURENBO hides, when half may be hidden."""
    epoch = Epoch(
        phase="train", index=1, epochs=9, n_samples=32, n_classes=3, warmup=False, device=CPU, rng=torch.Generator()
    )
    stats = SampleStats(*measured, age=torch.zeros(32, dtype=torch.int16))
    plan = load("kakurenbo", {"fraction": 0.5, "milestones": [], "shares": [1.0]}).plan(epoch, stats)
    return 32 - len(plan.indices)


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


def test_synthetic_weather_can_be_learnt_and_only_then_easy_samples_are_hidden(tmp_path: Path) -> None:
    """A small network in place of the real one, which needs minutes."""
    make(tmp_path, n_train=32, n_val=8, shape=(32, 48, 16))
    prepare(Work(dataset="deepcam", card=DATASETS["deepcam"], folder=tmp_path, look_in=(tmp_path,)))
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
