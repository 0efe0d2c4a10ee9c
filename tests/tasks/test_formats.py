"""From published files to a trained network: every format through its real loader and the real loop."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from kbench.config.experiment import Pair
from kbench.data.sources.fractal.make import make as draw
from kbench.data.sources.fractal.render import RenderSettings
from kbench.data.store import prepare
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.errors import WorkloadError
from kbench.records.schema import EpochRecord
from kbench.strategies import load
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
RECIPE = {"epochs": 1, "global_batch": 8, "lr": 0.1}
FILES = {"image_size": 24, "augment": "resized-crop", "random_erase": 0.1}
ARRAYS = {"augment": "crop-flip", "cutout": 8}
EASY: dict[str, dict[str, Any]] = {  # sets of which a small network learns the brightness of the corners
    "cifar10": {"n_batch": 32, "n_val": 60},
    "svhn": {"n_train": 60, "n_extra": 100, "n_val": 60},
    "mnist": {"n_train": 200, "n_val": 60},
    "pets": {"n_train": 60, "n_val": 12},
    "shards": {"n_train": 180, "n_val": 36},
    "imagenet": {"n_train": 60, "n_val": 36},
}


@pytest.fixture(scope="module")
def root(formats: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root in which all of them are prepared."""
    there = tmp_path_factory.mktemp("root")
    makers = {"pets": formats.image_folder, "imagenet": formats.imagenet_tars}
    for name, how in EASY.items():
        maker = makers.get(name) or getattr(formats, name)
        maker(there / name, **how)
    formats.cifar100(there / "cifar100")
    draw(there / "fractal-2", 2, settings=RenderSettings(side=32, points=2000, instances=1))
    for name in (*EASY, "cifar100", "fractal-2"):
        prepare.prepare(full(name), root=str(there), given=None, download=False, workers=1, report=lambda _: None)
    return there


def full(name: str) -> str:
    return {"pets": "folder:pets", "shards": "shards:shards"}.get(name, name)


def workload_of(name: str, root: Path, **recipe: Any) -> Workload:
    pair = {"model": "digits-cnn", "dataset": full(name), "recipe": RECIPE | recipe}
    return Workload(Pair.model_validate(pair), CPU, root=str(root))


def lived(workload: Workload, strategy: str = "baseline", params: dict[str, Any] | None = None) -> list[EpochRecord]:
    run = Run(
        strategy=load(strategy, params),
        workload=workload,
        comm=Comm(),
        store=SampleStore(workload.n_samples, workload.n_classes, CPU, labels=workload.labels),
        timer=PhaseTimer(CPU),
        seed=0,
        attempt=1,
    )
    return list(train(run))


@pytest.mark.parametrize("name", EASY)
def test_a_network_learns_from_every_format_what_its_images_show(name: str, root: Path) -> None:
    records = lived(workload_of(name, root, epochs=3, schedule="cosine", image_size=16, val_resize=16))
    chance = 1 / 3 if name in ("pets", "shards", "imagenet") else 1 / 10
    assert records[-1].val_acc1 > 2 * chance and records[-1].val_loss is not None
    assert records[-1].n_trained == sum(len_of(name).values()) // 8 * 8


def len_of(name: str) -> dict[str, int]:
    times = {"cifar10": 5, "pets": 3, "imagenet": 3}.get(name, 1)
    return {key: n * times for key, n in EASY[name].items() if key != "n_val"}


@pytest.mark.parametrize("strategy", ["baseline", "iswr", "forget", "sb", "kakurenbo"])
@pytest.mark.parametrize("name", ["cifar100", "fractal-2"])
def test_every_main_strategy_trains_on_arrays_and_on_files(name: str, strategy: str, root: Path) -> None:
    how = FILES | {"augment": "randaugment-flips"} if name == "fractal-2" else ARRAYS
    params = {"forget": {"score_epochs": 1}, "kakurenbo": {"fraction": 0.3, "milestones": [], "shares": [1.0]}}
    workload = workload_of(name, root, global_batch=20, **how)
    records = lived(workload, strategy, params.get(strategy))
    assert records[-1].n_trained > 0 and 0 <= records[-1].val_acc1 <= 1
    assert workload.dataset_note is not None and "of a set of one's own" in workload.dataset_note


def test_views_of_an_epoch_do_not_depend_on_the_strategy_or_the_ranks(root: Path) -> None:
    ids = torch.arange(16)
    for name, how in (("cifar10", ARRAYS), ("pets", FILES)):
        whole = next(workload_of(name, root, **how).batches([ids], key=4))
        parts = workload_of(name, root, **how).batches([ids[1::2], ids[0::2]], key=4)
        odd, even = list(parts)
        assert torch.equal(whole[1][1::2], odd[1]) and torch.equal(whole[1][0::2], even[1])


def test_the_model_is_built_for_the_images_that_the_recipe_asks_for(root: Path) -> None:
    assert workload_of("cifar10", root).shape == (3, 32, 32)
    assert workload_of("mnist", root).shape == (1, 28, 28)
    assert workload_of("pets", root).shape == (3, 224, 224)
    small = workload_of("pets", root, image_size=24, val_size=32, val_resize=36)
    assert small.shape == (3, 24, 24) and small.n_classes == 3
    assert next(small.batches([torch.arange(2)], key=0))[1].shape == (2, 3, 24, 24)
    assert next(small.val_batches([torch.arange(2)]))[1].shape == (2, 3, 32, 32)
    large = workload_of("cifar10", root, image_size=48, augment="resized-crop")
    assert next(large.batches([torch.arange(2)], key=0))[1].shape == (2, 3, 48, 48)
    assert next(large.val_batches([torch.arange(2)]))[1].shape == (2, 3, 48, 48)


def test_pixels_are_normalised_as_the_recipe_says_else_as_the_data_set_does(root: Path) -> None:
    ours = workload_of("mnist", root, mean=[0.5], std=[0.25])
    official = workload_of("mnist", root)
    raw = official.val.at(torch.arange(3))[0].double() / 255  # type: ignore[attr-defined]
    for workload, mean, std in ((ours, 0.5, 0.25), (official, 0.1307, 0.3081)):
        x = next(workload.val_batches([torch.arange(3)]))[1]
        assert torch.allclose(x.double(), (raw - mean) / std, atol=1e-5)


def test_a_set_smaller_than_a_global_batch_is_refused(root: Path) -> None:
    with pytest.raises(WorkloadError, match="cifar100: 200 training samples are fewer than the global batch of 256"):
        workload_of("cifar100", root, global_batch=256)


@pytest.mark.dist
def test_two_ranks_train_on_the_same_samples_as_one(root: Path, kbench: Callable[..., Any], tmp_path: Path) -> None:
    recipes = {"cifar10": RECIPE | ARRAYS | {"global_batch": 32}, "pets": RECIPE | FILES | {"global_batch": 32}}
    pairs = [
        {"name": name, "model": "digits-cnn", "dataset": full(name), "recipe": recipe}
        for name, recipe in recipes.items()
    ]
    experiment = {"name": "both", "pairs": pairs, "strategies": ["baseline"], "seeds": [0]}
    (tmp_path / "both.yaml").write_text(json.dumps(experiment))
    words = ("both.yaml", "--quiet", "--set", "ranks_per_node=2", "--set", "threads_per_rank=1")
    done = kbench("run", *words, env={"KBENCH_DATA": str(root)})
    assert done.returncode == 0, done.stderr
    journals = sorted((tmp_path / "results" / "both").glob("runs/*/epochs.jsonl"))
    assert len(journals) == 2
    for journal, (name, recipe) in zip(journals, recipes.items(), strict=True):
        two, (one,) = json.loads(journal.read_text()), lived(workload_of(name, root, **recipe))
        assert two["n_trained"] == one.n_trained
        assert two["train_loss"] == pytest.approx(one.train_loss, rel=0.05)  # BatchNorm sees half a batch
