"""A moving average of the weights, which follows the training and is what is evaluated."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """average <- decay * average + (1 - decay) * weights, every few updates; buffers likewise.

    The first addition and all during the warm-up are copies, as in torchvision's reference training.
    What cannot be averaged (BatchNorm's count of batches) is copied.
    """

    def __init__(self, module: nn.Module, *, decay: float, every: int) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._every = every
        self._blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def follow(self, module: nn.Module, *, n_updates: int, copying: bool) -> None:
        """Take in ``module`` after its ``n_updates``-th update, if that one counts: the first does."""
        if (n_updates - 1) % self._every:
            return
        mine, theirs = _values(self.module), _values(module)
        floating = [] if copying or n_updates == 1 else [i for i, value in enumerate(mine) if value.is_floating_point()]
        if floating:
            self._blend([mine[i] for i in floating], [theirs[i] for i in floating], n_updates)
        for i in set(range(len(mine))) - set(floating):
            mine[i].copy_(theirs[i])


def _values(module: nn.Module) -> list[Tensor]:
    return [value.detach() for value in (*module.parameters(), *module.buffers())]
