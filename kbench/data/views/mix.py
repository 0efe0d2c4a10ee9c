"""Mixup and cutmix of a batch: neighbours in it are mixed, by numbers that belong to the place in the epoch."""

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kbench.config.recipe import Recipe
from kbench.data.views.hashed_random import salted, sample_seed


class MixDraw(NamedTuple):
    """What a group of samples is mixed by."""

    share: float  # of each sample itself; the rest is its neighbour's
    box: tuple[int, int, int, int] | None = None  # [pixel] cutmix: top, bottom, left, right of what is pasted in


class MixedBatch(NamedTuple):
    """A batch after mixing."""

    x: Tensor  # (b, c, h, w) float32
    y: Tensor  # (b,) int64: the label that counts
    other: Tensor  # (b,) int64: the label that was mixed in
    share: Tensor  # (b,) float32: the share of ``y`` in the target


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How the images of a batch are mixed, as timm's Mixup does it in its mode "batch".

    timm mixes the first image of a batch with the last, the second with the last but one; here neighbours are mixed, so
    that ranks need none of each other's images and the pairs are the same for any number of them.  In a shuffled epoch
    that is the same distribution.
    """

    mixup: float  # alpha of mixup's Beta distribution; 0: no mixup
    cutmix: float  # of cutmix's
    chance: float  # that a group is mixed at all
    switch: float  # that it is cutmix, where both are given
    group: int  # [sample] of the epoch's order that share a draw, an even number
    by_larger: bool  # whether the label with the larger share counts, rather than the sample's own

    def draw(self, *, key: int, group: int, height: int, width: int) -> MixDraw:
        """Draw what a group is mixed by: timm's distributions, in timm's order, from numpy's stream seeded for it.

        Args:
            key: Names the epoch's stream of random numbers, as that of its views does.
            group: Number of the group within the epoch.
            height: Of the images [pixel].
            width: Of the images [pixel].
        """
        from timm.data.mixup import cutmix_bbox_and_lam

        before = np.random.get_state()
        np.random.seed(sample_seed(salted(key, "mix"), group) % 2**32)
        try:
            if not np.random.rand() < self.chance:
                return MixDraw(1.0)
            cuts = self.cutmix > 0 and (not self.mixup or np.random.rand() < self.switch)
            alpha = self.cutmix if cuts else self.mixup
            share = float(np.random.beta(alpha, alpha))
            if not cuts or share == 1.0:
                return MixDraw(share)
            # of the share the edges of the image take some
            box, share = cutmix_bbox_and_lam((height, width), share)  # type: ignore[no-untyped-call]
        finally:
            np.random.set_state(before)
        top, bottom, left, right = map(int, box)
        return MixDraw(float(share), (top, bottom, left, right))

    def mixed(self, x: Tensor, y: Tensor, places: Tensor, *, key: int) -> MixedBatch:
        """Mix each two neighbours of a batch; the last of an odd number is left as it is.

        Args:
            x: Images (b, c, h, w), normalised; they are not changed.
            y: Their labels (b,) int64.
            places: (b,) int64 on the CPU: where in the epoch's order each stands, ascending.
            key: Names the epoch's stream of random numbers.
        """
        partner = torch.arange(len(y), device=y.device) ^ 1
        if len(y) % 2:
            partner[-1] = len(y) - 1
        views, neighbours, shares, start = x.clone(), x[partner], list[float](), 0
        for group, rows in groupby((places // self.group).tolist()):
            draw = self.draw(key=key, group=group, height=x.shape[-2], width=x.shape[-1])
            end = start + sum(1 for _ in rows)
            view, neighbour = views[start:end], neighbours[start:end]
            if draw.box:
                top, bottom, left, right = draw.box
                view[..., top:bottom, left:right] = neighbour[..., top:bottom, left:right]
            elif draw.share < 1:
                view.mul_(draw.share).add_(neighbour.mul_(1 - draw.share))
            shares += [draw.share] * (end - start)
            start = end
        share, other = torch.tensor(shares, device=y.device), y[partner]
        if self.by_larger:
            swaps = share < 0.5
            y, other = torch.where(swaps, other, y), torch.where(swaps, y, other)
            share = torch.where(swaps, 1 - share, share)
        return MixedBatch(views, y, other, share)


def mixing_of(recipe: Recipe) -> Mixing | None:
    """The mixing of a recipe; None where nothing is mixed."""
    if not recipe.mixes:
        return None
    return Mixing(
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        chance=recipe.mix_chance,
        switch=recipe.mix_switch,
        group=recipe.mix_group or recipe.global_batch,
        by_larger=recipe.mix_label == "larger",
    )
