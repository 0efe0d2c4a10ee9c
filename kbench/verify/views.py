"""The distribution of a pair's views against that of torchvision's and timm's own transforms."""

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import normalize, to_pil_image, to_tensor

from kbench.config.experiment import Pair
from kbench.config.recipe import Recipe
from kbench.data import dataset_info
from kbench.data.loader import random_streams_restored
from kbench.data.views.transforms import with_black_of_no_bits
from kbench.verify.row import Row
from kbench.verify.small import small_workload

N_PROJECTIONS = 4  # of the pixels of a view, on which distributions are compared
RARE = 1e-3  # a smaller p-value of the least equal one is a difference
Transform = Callable[[Any], Tensor]


def view_rows(pair: Pair, *, draws: int) -> Iterator[Row]:
    """Compare views of one image, by Kolmogorov and Smirnov's test on random projections of their pixels."""
    recipe, info = pair.recipe, dataset_info(pair.dataset)
    if info is None or info.task != "classification":
        yield Row(
            "views", "augmentation", "none", recipe.augment, "equal" if recipe.augment == "none" else "not done", ""
        )
        return
    if recipe.augment == "none" and not (recipe.cutout or recipe.random_erase):
        yield Row("views", "augmentation", "none", "none", "equal", "nothing about a view is random")
        return
    with tempfile.TemporaryDirectory(prefix="kbench-") as folder:
        small = small_workload(pair, Path(folder), batch=2, n_images=draws, same=True)
        workload = small.workload
        image = to_pil_image(next(workload.train.batches([torch.tensor([0])], _as_it_is()))[1][0])
        own = next(workload.batches([torch.arange(draws)], key=9))[1]
    side = own.shape[-1]
    with random_streams_restored():
        random.seed(0)
        np.random.seed(0)
        torch.default_generator.manual_seed(0)
        transform = reference(small.pair.recipe, side)
        others = torch.stack([transform(image) for _ in range(draws)])
    least = min(_p_values(own, others))
    same = least * N_PROJECTIONS > RARE
    what = f"views of {draws} draws ({_described(recipe)})"
    means = [f"mean {float(views.mean()):.3f}, deviation {float(views.std()):.3f}" for views in (others, own)]
    yield Row(
        "views",
        what,
        means[0],
        means[1],
        "equal" if same else "differs",
        f"least p of {N_PROJECTIONS}: {least:.2g}" if same else "",
    )
    yield from _mix_rows(recipe, draws)


def _as_it_is() -> Any:
    from kbench.data.views.spec import ViewSpec

    return ViewSpec()


def _described(recipe: Recipe) -> str:
    keys = ("interpolation", "cutout", "random_erase", "erase_mode")
    return ", ".join([recipe.augment, *(f"{key} {getattr(recipe, key)}" for key in keys if getattr(recipe, key))])


def _p_values(own: Tensor, others: Tensor) -> list[float]:
    from scipy.stats import ks_2samp

    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(own[0].numel(), N_PROJECTIONS, generator=generator)
    first, second = (views.flatten(1) @ directions for views in (own, others))
    return [float(ks_2samp(first[:, i].numpy(), second[:, i].numpy()).pvalue) for i in range(N_PROJECTIONS)]


def reference(recipe: Recipe, side: int) -> Transform:
    """The transform that the recipe names, of torchvision and timm: a PIL image to normalised pixels."""
    how, steps = recipe.augment, list[Any]()
    mode = v2.InterpolationMode.BICUBIC if recipe.interpolation == "bicubic" else v2.InterpolationMode.BILINEAR
    if how in ("crop", "crop-flip"):
        steps = [v2.RandomCrop(side, padding=4)]
    elif how in ("resized-crop", "trivial"):
        steps = [v2.RandomResizedCrop(side, interpolation=mode)]
    if how in ("flip", "crop-flip", "resized-crop", "trivial"):
        steps.append(v2.RandomHorizontalFlip())
    if how == "trivial":
        steps.append(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR))
    if how in ("color-jitter", "randaugment", "randaugment-flips"):
        from timm.data.transforms_factory import create_transform

        options: dict[str, Any] = {"color_jitter": 0.4}
        if how != "color-jitter":
            options = {"auto_augment": "rand-m9-mstd0.5-inc1", "vflip": 0.5 if how.endswith("flips") else 0.0}
        interpolation = recipe.interpolation or "random"
        whole = create_transform(
            side,
            is_training=True,
            interpolation=interpolation,
            mean=recipe.mean,
            std=recipe.std,
            separate=True,
            **options,
        )
        steps = [whole[0], with_black_of_no_bits(whole[1])]

    def transform(image: Any) -> Tensor:
        for step in steps:
            image = step(image)
        x = normalize(to_tensor(image), list(recipe.mean), list(recipe.std))
        return _blanked(x, recipe)

    return transform


def _blanked(x: Tensor, recipe: Recipe) -> Tensor:
    """Cutout as uoguelph-mlrg/Cutout @287f934 has it, erasing as timm has it."""
    if recipe.cutout:
        at = [np.random.randint(n) for n in x.shape[1:]]
        (top, left), (bottom, right) = (
            [int(np.clip(edge + sign * recipe.cutout // 2, 0, n)) for edge, n in zip(at, x.shape[1:], strict=True)]
            for sign in (-1, 1)
        )
        x[:, top:bottom, left:right] = 0
    if recipe.random_erase:
        from timm.data.random_erasing import RandomErasing

        noisy = recipe.erase_mode == "pixel" or (not recipe.erase_mode and recipe.augment.startswith("randaugment"))
        make: Callable[..., Callable[[Tensor], Tensor]] = RandomErasing
        x = make(recipe.random_erase, mode="pixel" if noisy else "const", device="cpu")(x)
    return x


def _mix_rows(recipe: Recipe, draws: int) -> Iterator[Row]:
    """The share of a sample in its mixture, against timm's Mixup."""
    from kbench.data.views.mix import mixing_of

    mixing = mixing_of(recipe)
    if mixing is None:
        return
    from scipy.stats import ks_2samp
    from timm.data.mixup import Mixup

    side = recipe.image_size or 32
    own = [mixing.draw(key=9, group=group, height=side, width=side).share for group in range(draws)]
    make: Callable[..., Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = Mixup
    mixer = make(
        recipe.mixup,
        recipe.cutmix,
        prob=recipe.mix_chance,
        switch_prob=recipe.mix_switch,
        num_classes=2,
        label_smoothing=0.0,
    )
    x, y = torch.zeros(2, 1, side, side), torch.tensor([0, 1])
    with random_streams_restored():
        np.random.seed(0)
        others = [float(mixer(x, y)[1][0, 0]) for _ in range(draws)]
    p = float(ks_2samp(own, others).pvalue)
    texts = [f"mean {np.mean(shares):.3f}, deviation {np.std(shares):.3f}" for shares in (others, own)]
    what = f"share of a sample in {draws} mixtures (mixup {recipe.mixup:g}, cutmix {recipe.cutmix:g})"
    yield Row("views", what, texts[0], texts[1], "equal" if p > RARE else "differs", f"p {p:.2g}" if p > RARE else "")
