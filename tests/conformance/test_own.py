"""check-model and check-data find what breaks their contracts, and nothing in what kbench brings."""

import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kbench.conformance.checks import verdicts
from kbench.conformance.data_checks import CHECKS as DATA_CHECKS
from kbench.conformance.data_checks import DataCase
from kbench.conformance.model_checks import CHECKS as MODEL_CHECKS
from kbench.conformance.model_checks import ModelCase
from kbench.data import DatasetInfo
from kbench.data.loader import Arrays, SampleReader
from kbench.data.views.spec import ViewSpec


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("own_things")
    monkeypatch.setitem(sys.modules, "own_things", module)
    return module


def broken_of_model(name: str) -> dict[str, str]:
    found = verdicts(MODEL_CHECKS, ModelCase(name, "digits"))
    return {each.check.name: each.finding.what for each in found if each.finding}


class Net(nn.Module):
    """A model that keeps to everything; each of those below breaks one promise."""

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 8), nn.Linear(8, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.flatten(1)).relu())


class Seeded(Net):
    def __init__(self, shape, n_classes) -> None:
        super().__init__(shape, n_classes)
        nn.init.constant_(self.head.bias, np.random.rand() + random.random())


class Idle(Net):
    def __init__(self, shape, n_classes) -> None:
        super().__init__(shape, n_classes)
        self.unused = nn.Linear(2, 2)


class Noisy(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(1)


class Crowd(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class Remembers(Net):
    seen = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += float(self.training)
        return super().forward(x) * (1 + self.seen)


class Two(Net):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), x


@pytest.mark.parametrize(
    "model, check, what",
    [
        (Seeded, "seeds", "two builds from one seed differ in head.bias"),
        (Idle, "gradients", "no gradient reaches unused.weight, unused.bias"),
        (Noisy, "evaluation", "the same images are answered differently"),
        (Crowd, "evaluation", "a sample is answered differently alone"),
        (Remembers, "checkpoints", "a model loaded from its state_dict answers differently"),
        (Two, "builds", "it answers tuple where [8, 10] are wanted"),
    ],
)
def test_a_model_that_breaks_a_promise_is_found(model: type, check: str, what: str, own: ModuleType) -> None:
    own.Net = model
    broken = broken_of_model("own_things:Net")
    assert what in broken[check]
    assert broken.keys() <= {check, "checkpoints"}  # what answers at random has no state that says it all


def test_a_model_that_keeps_to_everything_is_counted(own: ModuleType) -> None:
    own.Net = Net
    assert broken_of_model("own_things:Net") == {} == broken_of_model("digits-cnn")
    facts = ModelCase("own_things:Net", "digits").facts()
    assert (facts.n_parameters, facts.flop, facts.ends_in) == (65 * 8 + 9 * 10, 2 * (64 * 8 + 8 * 10), "a linear layer")


def broken_of_data(own: ModuleType, train: object, val: object, **info: object) -> dict[str, str]:
    facts = {"target": "load", "n_train": len(train), "n_val": len(val), "n_classes": 2, "shape": (1, 2, 2)}
    own.DATA, own.load = DatasetInfo(**facts | {"augments": ("none",), "about": "x"} | info), lambda _: (train, val)
    found = verdicts(DATA_CHECKS, DataCase("own_things:DATA"))
    return {each.check.name: each.finding.what for each in found if each.finding}


def arrays(n: int, start: int = 0) -> Arrays:
    return Arrays(torch.arange(start, start + n).float().view(n, 1, 1, 1).repeat(1, 1, 2, 2), torch.arange(n) % 2)


class Reader:
    """A reader of images that hold their own number."""

    def __init__(self, n: int) -> None:
        self.n, self.n_read = n, 0

    def __len__(self) -> int:
        return self.n

    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        return torch.full((1, 2, 2), sample, dtype=torch.uint8), torch.tensor(sample % 2)


class Counting(Reader):
    def read(self, sample: int, view: ViewSpec) -> tuple[Tensor, Tensor]:
        self.n_read += 1
        x, y = super().read(sample, view)
        return x + self.n_read, y


def test_data_in_memory_and_data_from_files_that_keep_to_everything_pass(own: ModuleType) -> None:
    assert broken_of_data(own, arrays(8), arrays(4, 50)) == {}
    assert broken_of_data(own, SampleReader(Reader(8), workers=0), SampleReader(Reader(4), workers=0)) == {}


def test_data_that_breaks_a_promise_is_found(own: ModuleType) -> None:
    assert "its labels go from 0 to 1" in broken_of_data(own, arrays(8), arrays(4, 50), n_classes=1)["labels"]
    assert "no sample has the class 2" in broken_of_data(own, arrays(8), arrays(4, 50), n_classes=3)["labels"]
    assert "images are torch.float32" in broken_of_data(own, arrays(8), arrays(4, 50), shape=(3, 2, 2))["shapes"]
    assert "3 of 4 validation images are training images" in broken_of_data(own, arrays(8), arrays(4, 5))["apart"]
    train = SampleReader(Counting(8), workers=0)
    assert {"same-twice", "any-order", "workers"} <= broken_of_data(
        own, train, SampleReader(Reader(4), workers=0)
    ).keys()
