"""Every pair trains with the five methods: published recipe and network, few and smaller images."""

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbench.config.experiment import Pair
from kbench.engine.loop import Run, train

FIVE: dict[str, dict[str, Any]] = {
    "baseline": {},
    "iswr": {},
    "forget": {"fraction": 0.3, "score_epochs": 1},
    "sb": {"beta": 0.05, "prime_epochs": 0},
    "kakurenbo": {"fraction": 0.3, "milestones": [], "shares": [1.0]},
}
# The side of the images [pixel]: as small as the network allows.
SIDES = {"resnet50": 32, "b3": 64, "deit": 32, "mnist": 8, "cifar": 8, "wrn": 8}
EVERY_KIND = [  # every network and every kind of recipe
    ("cifar100-wrn28-10", "wrn-28-10-cifar100"),
    ("imagenet-resnet50", "resnet50-imagenet"),
    ("imagenet-resnet50-long", "resnet50-imagenet"),
    ("imagenet-efficientnet-b3", "efficientnet-b3-imagenet"),
    ("fractal3k-deit-tiny", "deit-tiny-fractal3k"),
    ("sb-cifar10", "resnet18-lr1"),
    ("sb-cifar100", "densenet121-lr1"),
    ("sb-svhn", "mobilenetv2-lr1"),
    ("sb-svhn", "wrn-16-8-lr2"),
    ("autoassist", "resnet18-mnist"),
]
WITH_ONE = [  # the same on other data; each with one method in turn
    ("cifar10-wrn28-10", "wrn-28-10-cifar10"),
    ("autoassist", "resnet18-mnist-rot"),
    ("autoassist", "resnet18-cifar10"),
    ("autoassist", "resnet18-cifar10-rot"),
    ("sb-cifar100", "resnet18-lr2"),
    ("sb-svhn", "resnet18-lr1"),
    ("sb-cifar10", "wrn-28-10-lr1"),
    ("sb-cifar100", "wrn-28-10-lr2"),
    ("sb-cifar10", "densenet121-lr2"),
    ("sb-svhn", "densenet121-lr1"),
    ("sb-cifar10", "mobilenetv2-lr1"),
    ("sb-cifar100", "mobilenetv2-lr2"),
]
# every network with two of the methods, every method with four of the networks
ON_RANKS = [(*pair, list(FIVE)[place % 5]) for n, pair in enumerate(EVERY_KIND) for place in (n, n + 2)]
ALONE = [(*pair, method) for pair, method in zip(WITH_ONE, itertools.cycle(FIVE), strict=False)]


def sized(pair: Pair) -> dict[str, int]:
    side = next(side for part, side in SIDES.items() if part in pair.model)
    return {"image_size": side, "val_size": side, "val_resize": side}


@pytest.mark.parametrize("experiment, name, method", ALONE)
def test_an_epoch_of_each_method(
    experiment: str, name: str, method: str, short_pair: Callable[..., Pair], run_of: Callable[..., Run]
) -> None:
    pair = short_pair(experiment, name, **sized(short_pair(experiment, name)))
    run = run_of(pair, method, FIVE[method])
    *_, last = train(run)
    assert last.n_samples == run.workload.n_samples
    assert last.n_trained and last.n_trained % pair.recipe.global_batch == 0
    assert last.train_loss is not None and math.isfinite(last.train_loss)
    assert 0 <= last.val_acc1 <= 1  # the loss may be infinite after two steps of a deep network
    assert (last.n_scored > 0) == (method == "sb")
    assert run.store.view().known.any()


@pytest.fixture(scope="module")
def told(
    short_pair: Callable[..., Pair], data_root: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[list[dict[str, Any]]]:
    """What each of two ranks tells of all lives, in their order."""
    folder = tmp_path_factory.mktemp("ranks")
    lives = []
    for experiment, name, method in ON_RANKS:
        pair = short_pair(experiment, name, **sized(short_pair(experiment, name)))
        entry = {"pair": pair.model_dump(mode="json"), "root": str(data_root(pair.dataset))}
        lives.append(entry | {"method": method, "params": FIVE[method]})
    (folder / "lives.json").write_text(json.dumps(lives))
    program = str(Path(__file__).with_name("pairs_rank.py"))
    ranks = []
    for rank in range(2):
        words = [sys.executable, program, str(rank), "2", str(folder / "store"), str(folder / "lives.json")]
        with (folder / f"rank{rank}.jsonl").open("w") as out, (folder / f"rank{rank}.err").open("w") as err:
            ranks.append(subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=out, stderr=err))
    try:
        codes = [rank.wait(timeout=1500) for rank in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert codes == [0, 0], "".join((folder / f"rank{rank}.err").read_text() for rank in range(2))
    outputs = [(folder / f"rank{rank}.jsonl").read_text() for rank in range(2)]
    return [[json.loads(line) for line in out.splitlines() if line.startswith("{")] for out in outputs]


@pytest.mark.dist
@pytest.mark.parametrize("place", range(len(ON_RANKS)), ids=["-".join(life) for life in ON_RANKS])
def test_two_ranks_train_together(told: list[list[dict[str, Any]]], place: int) -> None:
    method = ON_RANKS[place][2]
    mine, other = told[0][place], told[1][place]
    assert mine["n_trained"] == other["n_trained"] > 0
    assert mine["n_trained"] % 2 == 0
    assert math.isfinite(mine["train_loss"]) and mine["train_loss"] == other["train_loss"]
    assert mine["val_acc1"] == other["val_acc1"]
    assert (mine["n_scored"] > 0) == (method == "sb")
    assert mine["known"] == other["known"] and any(mine["known"])
