"""Random views of images, made in batches on the device from numbers that belong to each sample."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.workloads.noise import uniform


def augmented(x: Tensor, ids: Tensor, *, how: str, key: int) -> Tensor:
    """View images ``x`` ((b, c, h, w)) of samples ``ids`` as the recipe's ``how`` asks.

    ``key`` names the stream: (seed, phase, epoch).  Equal for all strategies of a seed.
    """
    if how == "none":
        return x
    if how == "shift":
        return shifted(x, uniform(key, ids, 2), pixels=1)
    raise ValueError(f"unknown augmentation {how!r}")


def shifted(x: Tensor, at: Tensor, *, pixels: int) -> Tensor:
    """Shift each image by up to ``pixels`` up, down, left and right; ``at``: (b, 2) in [0, 1)."""
    b, _, h, w = x.shape
    steps = (at * (2 * pixels + 1)).long()
    rows = steps[:, 0, None] + torch.arange(h, device=x.device)
    columns = steps[:, 1, None] + torch.arange(w, device=x.device)
    padded = F.pad(x, [pixels] * 4)
    image = torch.arange(b, device=x.device)
    return padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
