"""Data sets that were made in the real formats and prepared."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from kbench.data.store import prepare
from kbench.data.store.manifest import Manifest

MAKERS = {
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "svhn": "svhn",
    "mnist": "mnist",
    "fashion-mnist": "mnist",
    "imagenet": "imagenet_tars",
    "folder:pets": "image_folder",
    "shards:pets": "shards",
}


def ready(dataset: str, root: Path) -> Manifest:
    """Prepare what lies below a root."""
    return prepare.prepare(dataset, root=str(root), given=None, download=False, workers=1, report=lambda _: None)[1]


@pytest.fixture(scope="session")
def put(formats: ModuleType) -> Callable[..., Path]:
    """``put("cifar10", root)``: the files of a data set as published, below a root; returns their folder."""

    def make_files(dataset: str, root: Path, **how: object) -> Path:
        folder = root / dataset.rpartition(":")[2]
        getattr(formats, MAKERS[dataset])(folder, **how)
        return folder

    return make_files


@pytest.fixture(scope="session")
def root_of(put: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``root_of("svhn")``: a root in which the data set is prepared.  Read only."""
    made: dict[str, Path] = {}

    def prepared(dataset: str) -> Path:
        if dataset not in made:
            made[dataset] = tmp_path_factory.mktemp("data")
            put(dataset, made[dataset])
            ready(dataset, made[dataset])
        return made[dataset]

    return prepared


@pytest.fixture(scope="session", name="ready")
def _ready() -> Callable[[str, Path], Manifest]:
    """``ready("cifar10", root)``: prepare the files below a root, without network."""
    return ready
