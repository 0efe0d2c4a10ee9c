"""A pair on a few made-up images: its model, its recipe and its views, where the data set itself is not at hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kbench.config.experiment import Pair
from kbench.data import dataset_info
from kbench.tasks.workload import Workload

SIDE = 64  # [pixel] at most, so that a step takes moments


@dataclass(frozen=True)
class SmallWorkload:
    """A workload of made-up images, and the pair that it is of."""

    pair: Pair
    workload: Workload


def small_workload(pair: Pair, folder: Path, *, batch: int, n_images: int, same: bool = False) -> SmallWorkload:
    """Build the workload of a pair on made-up images: smooth ones with some noise, of all its classes.

    Args:
        pair: Its recipe is kept but for batch, and sizes above SIDE; the rate is that of the recipe.
        folder: Where the images are written.
        batch: [sample] of a step.
        n_images: How many there are.
        same: Whether all are the same image.
    """
    info = dataset_info(pair.dataset)
    assert info is not None and info.task == "classification", "the caller looked"
    recipe, channels = pair.recipe, info.shape[0]
    side = min(SIDE, recipe.image_size or info.shape[-1])
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1 if same else n_images, channels, 4, 4)))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear").numpy()
    x = np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    x = np.repeat(x, n_images // len(x), 0)
    y = np.arange(n_images) % info.n_classes
    y[-1] = info.n_classes - 1  # so that there are so many
    path = folder / "images.npz"
    np.savez(path, x_train=x, y_train=y, x_val=x[:2], y_val=y[-2:])
    update = {
        "global_batch": batch,
        "image_size": side if recipe.image_size else 0,
        "val_size": 0,
        "val_resize": 0,
        "mean": recipe.mean or info.mean,
        "std": recipe.std or info.std,
        "mix_group": min(recipe.mix_group, batch),
        "batchnorm_group": 0,  # of all that is passed: a group of the recipe would be larger
        "accumulate": 1,
        "precision": "fp32",  # so that only rounding is left of a difference
    }
    changed = {"dataset": f"npz:{path}", "recipe": recipe.model_copy(update=update), "starts_from": None}
    small = pair.model_copy(update=changed)
    return SmallWorkload(small, Workload(small, torch.device("cpu")))
