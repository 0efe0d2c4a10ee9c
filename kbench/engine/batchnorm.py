"""Batch normalisation over groups of samples: parts of a rank's batch, or the same samples over several ranks.

A global batch is cut into groups of ``recipe.batchnorm_group`` consecutive samples.  Ranks hold consecutive parts of
it, so that the groups, and with them every number of a training without dropout, are the same for any number of ranks:
where a rank holds more samples than a group they are normalised apart ("ghost batches", Hoffer et al.,
arXiv:1705.08741), where it holds fewer the statistics are exchanged among the ranks that share a group, forward and
backward.

Running statistics move once a step, by the mean over the groups of their means and variances.  It is linear, so that
the mean over the ranks at an epoch's end is what one rank would have had.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kbench.engine.runtime.comm import Comm
from kbench.errors import WorkloadError

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class GroupedBatchNorm(_BatchNorm):
    """A batch normalisation in place of one of torch's or timm's, with its parameters, buffers and their names.

    In a pass without gradients in training mode, as some published code measures again, groups are of this rank's
    samples alone, as ranks may have different numbers of them; the last group may be short.

    Args:
        norm: What it takes the place of; timm's ``drop`` and ``act`` come along.
        rows: [sample] of one group that lie on this rank.
        comm: The ranks that share a group.
        parts: [pass] in which a step is made; the running statistics move by each part's share.

    Attributes:
        begins_step: Whether the next pass is the first of a step; the learner sets it.
    """

    def __init__(self, norm: _BatchNorm, *, rows: int, comm: Comm, parts: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        for name, value in norm.named_buffers(recurse=False):
            setattr(self, name, value)
        self.drop, self.act = (getattr(norm, name, None) for name in ("drop", "act"))
        self._rows, self._comm, self._parts = rows, comm, parts
        self.begins_step = True
        self.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (b, channels, ...): by the groups while training, by the running statistics else."""
        out = self._by_groups(input) if self.training else super().forward(input)
        for after in (self.drop, self.act):
            out = out if after is None else after(out)
        return out

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def _by_groups(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and self._comm.size > 1:
            out, mean, variance = _NormalisedTogether.apply(x, self.weight, self.bias, self.eps, self._comm)
            self._follow([mean], [variance], parts=self._parts)
            return cast(Tensor, out)
        outputs: list[Tensor] = []
        means: list[Tensor] = []
        variances: list[Tensor] = []
        for group in torch.split(x, self._rows):
            mean = variance = None
            if self.running_mean is not None and self.running_var is not None:
                mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
                means.append(mean)
                variances.append(variance)
            # with a momentum of 1 they become what this group has
            outputs.append(F.batch_norm(group, mean, variance, self.weight, self.bias, True, 1.0, self.eps))
        self._follow(means, variances, parts=self._parts if torch.is_grad_enabled() else 1)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    @torch.no_grad()
    def _follow(self, means: list[Tensor], variances: list[Tensor], *, parts: int) -> None:
        """Move the running statistics by the means and the unbiased variances of the groups, (channels,) each."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        first = self.begins_step
        if first:
            self.num_batches_tracked.add_(1)
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, seen in ((self.running_mean, means), (self.running_var, variances)):
            running.mul_(1 - factor if first else 1.0).add_(torch.stack(seen).mean(0), alpha=factor / parts)


class _NormalisedTogether(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias over several ranks, and the mean and unbiased variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, comm: Comm
    ) -> tuple[Tensor, Tensor, Tensor]:
        values = _at_least_float32(x)
        variance, mean = torch.var_mean(values, _over(x), correction=0)
        table = mean.new_zeros(comm.size, 2, len(mean))
        table[comm.rank] = torch.stack([variance, mean])
        variances, means = comm.sum(table).unbind(1)  # of as many values each
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        inverse = torch.rsqrt(variance + eps)
        scale = inverse if weight is None else inverse * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.comm = comm
        n_values = comm.size * (x.numel() // len(mean))
        unbiased = variance * (n_values / (n_values - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        out = torch.empty_like(x)  # no view, as what follows may change it in place
        torch.addcmul(_by_channel(shift, x), values, _by_channel(scale, x), out=out)
        return out, mean, unbiased

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient = _at_least_float32(gradients[0])
        normalised = (_at_least_float32(x) - _by_channel(mean, x)) * _by_channel(inverse, x)
        own = torch.stack([gradient.sum(_over(x)), (gradient * normalised).sum(_over(x))])
        means = ctx.comm.sum(own.clone()) / (ctx.comm.size * (x.numel() // len(mean)))
        slope = _by_channel(inverse if weight is None else inverse * weight, x)
        of_x = (gradient - _by_channel(means[0], x) - normalised * _by_channel(means[1], x)) * slope
        of_weight, of_bias = (own[i].to(weight.dtype) if ctx.needs_input_grad[2 - i] else None for i in (1, 0))
        return of_x.to(x.dtype), of_weight, of_bias, None, None  # DDP averages those of the weights over the ranks


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _over(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]


def _by_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 2))


def with_groups(module: nn.Module, *, group: int, n_local: int, parts: int, comm: Comm) -> list[GroupedBatchNorm]:
    """Replace, in place, every batch normalisation of a model by one over groups of ``group`` samples.

    Args:
        module: The model.
        group: [sample] of a group; it divides ``n_local`` / ``parts``, or is a multiple of ``n_local`` in one part.
        n_local: [sample] of this rank in a global batch.
        parts: [pass] in which a step is made.
        comm: All ranks; every one of them must call.

    Returns:
        The new ones.

    Raises:
        WorkloadError: One is of a kind that is neither torch's nor timm's.
    """
    sharing = comm.block(max(1, group // n_local))
    found: dict[_BatchNorm, GroupedBatchNorm] = {}
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if not isinstance(layer, _BatchNorm):
                continue
            if type(layer) not in PLAIN and type(layer).__name__ != "BatchNormAct2d":
                raise WorkloadError(
                    f"batchnorm_group: cannot take the place of {type(layer).__name__} at {name}",
                    hint="leave batchnorm_group out, or use torch's BatchNorm in the model",
                )
            if layer not in found:
                found[layer] = GroupedBatchNorm(layer, rows=min(group, n_local), comm=sharing, parts=parts)
            setattr(parent, name, found[layer])
    return list(found.values())
