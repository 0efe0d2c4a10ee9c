"""Published pairs cut short: real model, real loader, real loop, on a handful of samples in the real format."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.parse import parse
from kbench.config.yaml_source import read_source
from kbench.data.sources.fractal.make import make as make_fractal
from kbench.data.sources.fractal.render import RenderSettings
from kbench.data.store import prepare
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.experiment.registries import Registries
from kbench.strategies import load
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
FOLDER = Path(__file__).parents[2] / "configs"
FEW: dict[str, dict[str, int]] = {
    "cifar10": {"n_batch": 2, "n_val": 4},
    "cifar100": {"n_train": 10, "n_val": 4},
    "svhn": {"n_train": 5, "n_extra": 5, "n_val": 4},
    "mnist": {"n_train": 10, "n_val": 4},
    "imagenet": {"n_train": 3, "n_val": 3},  # of each of three classes; in all
}
# What would not end in an epoch or does not fit a handful of samples; all else stays as published.
SHORT = {"epochs": 1, "warmup_epochs": 0.0, "milestones": (), "cutout": 2}


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory, formats: ModuleType) -> Callable[[str], Path]:
    """``data_root("svhn")``: a root in which a few samples of the data set lie, prepared from files as published."""
    root = tmp_path_factory.mktemp("data")
    there: set[str] = set()

    def prepared(dataset: str) -> Path:
        if dataset not in there:
            there.add(dataset)
            source = dataset.removesuffix("-rot")
            if dataset.startswith("fractal-"):
                make_fractal(
                    root / dataset,
                    int(dataset.partition("-")[2]),
                    settings=RenderSettings(side=32, points=500, instances=1),
                )
            elif not (root / source).exists():
                getattr(formats, {"imagenet": "imagenet_tars"}.get(source, source))(root / source, **FEW[source])
            prepare.prepare(dataset, root=str(root), given=None, download=False, workers=1, report=lambda _: None)
        return root

    return prepared


@pytest.fixture(scope="session")
def short_pair() -> Callable[..., Pair]:
    """``short_pair("imagenet-resnet50", "resnet50-imagenet", image_size=32)``: the pair, cut to an epoch."""

    def cut_short(experiment: str, name: str, **recipe: Any) -> Pair:
        spec = parse(ExperimentSpec, read_source(FOLDER / f"{experiment}.yaml"), context=Registries())
        pair = next(pair for pair in spec.pairs if pair.name == name)
        dataset = "fractal-2" if pair.dataset.startswith("fractal-") else pair.dataset
        batch = 40 if dataset == "fractal-2" else 4  # of 200 images, or about ten
        cut = SHORT | {"global_batch": batch, "lr": pair.recipe.lr * batch / pair.recipe.global_batch} | recipe
        cut["batchnorm_group"] = batch if pair.recipe.batchnorm_group else 0  # which two ranks share
        return pair.model_copy(update={"dataset": dataset, "recipe": pair.recipe.model_copy(update=cut)})

    return cut_short


@pytest.fixture(scope="session")
def run_of(data_root: Callable[[str], Path]) -> Callable[..., Run]:
    """``run_of(pair, "sb", {"beta": 1.0})``: a run that is about to start; pairs share their data."""
    workloads: dict[str, Workload] = {}

    def ready(pair: Pair, strategy: str, params: dict[str, Any] | None = None, *, comm: Comm | None = None) -> Run:
        key = pair.model_dump_json()
        if key not in workloads:
            workloads[key] = Workload(pair, CPU, root=str(data_root(pair.dataset)))
        workload = workloads[key]
        return Run(
            strategy=load(strategy, params),
            workload=workload,
            comm=comm or Comm(),
            store=SampleStore(workload.n_samples, workload.n_classes, CPU, labels=workload.labels),
            timer=PhaseTimer(CPU),
            seed=0,
            attempt=1,
        )

    return ready
