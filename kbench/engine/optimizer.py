"""The recipe's optimizer, which parameters decay in it, and the moving average of the weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kbench.config import own_code
from kbench.config.recipe import Recipe
from kbench.errors import WorkloadError

# nn.RMSNorm is there since torch 2.4
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, getattr(nn, "RMSNorm", nn.LayerNorm))
Groups = list[dict[str, Any]]


def build_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; its learning rate is set before each step.

    One of one's own is called with (groups, lr=...), as torch's are; groups carry ``weight_decay``.

    Raises:
        WorkloadError: One of one's own cannot be made.
    """
    groups = parameter_groups(module, recipe)
    if own_code.is_reference(recipe.optimizer):
        return _own_optimizer(recipe.optimizer, groups, recipe.lr)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)
    if recipe.optimizer == "lamb":
        from timm.optim.lamb import Lamb

        # Its own clipping is switched off: the learner clips for every optimizer alike.
        lamb: torch.optim.Optimizer = Lamb(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, max_grad_norm=None)
        return lamb
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps)


def _own_optimizer(target: str, groups: Groups, lr: float) -> torch.optim.Optimizer:
    call = own_code.load(target, "optimizer")
    try:
        optimizer = call(groups, lr=lr)
    except Exception as error:  # a class of somebody's may raise anything
        raise WorkloadError(f"optimizer {target}: cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise WorkloadError(f"optimizer {target}: must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    return optimizer


def parameter_groups(module: nn.Module, recipe: Recipe) -> Groups:
    """All parameters in one group, or those that decay and then those that the recipe exempts."""
    exempt = _exempt(module, recipe.decay_exempts)
    decayed = [parameter for name, parameter in module.named_parameters() if name not in exempt]
    spared = [parameter for name, parameter in module.named_parameters() if name in exempt]
    groups: Groups = [{"params": decayed, "weight_decay": recipe.weight_decay}]
    return [*groups, {"params": spared, "weight_decay": 0.0}] if spared else groups


def _exempt(module: nn.Module, what: str) -> set[str]:
    """The names of the parameters that do not decay.

    ``norms`` are those of normalising layers, as torchvision's reference training has it; ``vectors``
    are all of one dimension, and what the model asks for by ``no_weight_decay()``, as in timm.
    """
    if what == "norms":
        return {
            f"{place}.{name}".lstrip(".")
            for place, layer in module.named_modules()
            if isinstance(layer, NORMS)
            for name, _ in layer.named_parameters(recurse=False)
        }
    if what == "vectors":
        ask = getattr(module, "no_weight_decay", set)
        return set(ask()) | {name for name, parameter in module.named_parameters() if parameter.ndim <= 1}
    return set()


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
        """Add the weights of ``module`` after its ``n_updates``-th update, if that one counts (the first does)."""
        if (n_updates - 1) % self._every:
            return
        averaged, current = _values(self.module), _values(module)
        floating = (
            [] if copying or n_updates == 1 else [i for i, value in enumerate(averaged) if value.is_floating_point()]
        )
        if floating:
            self._blend([averaged[i] for i in floating], [current[i] for i in floating], n_updates)
        for i in set(range(len(averaged))) - set(floating):
            averaged[i].copy_(current[i])


def _values(module: nn.Module) -> list[Tensor]:
    return [value.detach() for value in (*module.parameters(), *module.buffers())]
