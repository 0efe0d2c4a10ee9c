"""Batch normalisation over groups of samples: parts of a rank's batch, or the same samples over several ranks.

A global batch is cut into groups of ``recipe.batchnorm_group`` consecutive samples.  Ranks hold consecutive parts of
it, so that the groups, and with them every number of a training without dropout, are the same for any number of ranks:
where a rank holds more samples than a group they are normalised apart ("ghost batches", Hoffer et al.,
arXiv:1705.08741), where it holds fewer the statistics are exchanged among the ranks that share a group, forward and
backward.

Running statistics move once a step, by the mean over the groups of their means and variances.  It is linear, so that
the mean over the ranks at an epoch's end is what one rank would have had.
"""

from typing import Any

import torch
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
        trains = torch.is_grad_enabled()
        comm = self._comm if trains else None
        whole = len(x) - len(x) % self._rows
        pieces = [(piece, max(1, len(piece) // self._rows)) for piece in (x[:whole], x[whole:]) if len(piece)]
        normalised = [_Normalise.apply(piece, self.weight, self.bias, self.eps, n, comm) for piece, n in pieces]
        if self.track_running_stats:
            n_values = [len(piece) // n * piece[0, 0].numel() * (comm.size if comm else 1) for piece, n in pieces]
            statistics = [(out[1], out[2], n) for out, n in zip(normalised, n_values, strict=True)]
            self._follow(statistics, parts=self._parts if trains else 1)
        return normalised[0][0] if len(pieces) == 1 else torch.cat([out[0] for out in normalised])

    @torch.no_grad()
    def _follow(self, statistics: list[tuple[Tensor, Tensor, int]], *, parts: int) -> None:
        """Move the running statistics: means and variances (groups, channels), and how many values each is of."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        mean = torch.cat([means for means, _, _ in statistics]).mean(0)
        variance = torch.cat([variances * n / max(1, n - 1) for _, variances, n in statistics]).mean(0)
        first = self.begins_step
        if first:
            self.num_batches_tracked.add_(1)
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            running.mul_(1 - factor if first else 1.0).add_(value.to(running.dtype), alpha=factor / parts)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, by groups; and their means, variances (groups, channels)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, n_groups: int, comm: Comm | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        groups = _in_groups(x, n_groups)
        variance, mean = torch.var_mean(groups, _over(groups), correction=0, keepdim=True)
        if comm is not None and comm.size > 1:
            variance, mean = _of_ranks(variance, mean, comm)
        inverse = torch.rsqrt(variance + eps)
        scale = inverse if weight is None else inverse * _by_channel(weight, groups)
        shift = -mean * scale if bias is None else _by_channel(bias, groups) - mean * scale
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.n_groups, ctx.comm = n_groups, comm
        means, variances = mean.flatten(1), variance.flatten(1)
        ctx.mark_non_differentiable(means, variances)
        out = torch.empty_like(x)  # no view, as what follows may change it in place
        torch.addcmul(shift, groups, scale, out=out.view(n_groups, -1, *x.shape[1:]))
        return out, means, variances

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        groups, gradient = _in_groups(x, ctx.n_groups), _in_groups(gradients[0], ctx.n_groups)
        normalised = (groups - mean) * inverse
        over, comm = _over(groups), ctx.comm
        sums = torch.stack([gradient.sum(over, keepdim=True), (gradient * normalised).sum(over, keepdim=True)])
        of_bias, of_weight = (each.flatten(1).sum(0) for each in sums)  # DDP adds those of the other ranks
        n_values = groups[0, :, 0].numel()
        if comm is not None and comm.size > 1:
            sums, n_values = comm.sum(sums), n_values * comm.size
        slope = inverse if weight is None else inverse * _by_channel(weight, groups)
        of_x = (gradient - sums[0] / n_values - normalised * (sums[1] / n_values)) * slope
        return (
            of_x.to(x.dtype).view_as(x),
            of_weight.to(weight.dtype) if ctx.needs_input_grad[1] else None,
            of_bias.to(weight.dtype) if ctx.needs_input_grad[2] else None,
            None,
            None,
            None,
        )


def _in_groups(x: Tensor, n_groups: int) -> Tensor:
    """(b, channels, ...) as (groups, b / groups, channels, ...), float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).reshape(n_groups, -1, *x.shape[1:])


def _over(groups: Tensor) -> list[int]:
    return [1, *range(3, groups.ndim)]


def _by_channel(values: Tensor, groups: Tensor) -> Tensor:
    return values.to(groups.dtype).view(-1, *[1] * (groups.ndim - 3))


def _of_ranks(variance: Tensor, mean: Tensor, comm: Comm) -> tuple[Tensor, Tensor]:
    """The variance and mean of what several ranks hold, equally many values each."""
    table = mean.new_zeros(comm.size, 2, *mean.shape)
    table[comm.rank] = torch.stack([variance, mean])
    variances, means = comm.sum(table).unbind(1)
    joint = means.mean(0)
    return variances.mean(0) + (means - joint).square().mean(0), joint


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
