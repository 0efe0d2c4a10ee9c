"""Groups of samples that are chosen by their mean gradients at the last layer: what GradMatch and CRAIG share."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kbench.config.value_types import Count, Fraction
from kbench.strategies.api import (
    Batch,
    Epoch,
    EpochPlan,
    Outputs,
    SampleStats,
    Strategy,
    TrainingSetup,
    share_of,
    state,
)
from kbench.strategies.ranking import shuffled


@dataclass
class ChoosesGroups(Strategy):
    """Every ``every`` epochs, cuts the samples into groups and chooses some of them by their mean gradients.

    Gradients are those of the loss at the last linear layer's weights and bias.  All samples are measured for it when
    the epoch before has ended, which is paid for: the errors and features of every sample are remembered.  The first
    epoch trains on everything, as nothing is known before it.
    """

    baseline_params = {"fraction": 0.0}
    n_bytes_per_sample = 4

    fraction: Fraction = 0.3
    every: Count = 5
    group: Count = 128

    weights: Tensor | None = state()  # (n,) float32 of the last choice; 0: not chosen

    @abstractmethod
    def choose(self, gradients: Tensor, n_chosen: int) -> Tensor:
        """Weigh the groups by their mean ``gradients`` ((m, p) float64): (m,) float64, 0 for those not chosen."""

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        if setup.task != "classification":
            yield "", f"needs a class for each sample, and a {setup.task} task has none"
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text

    def memory_width(self, n_classes: int, n_features: int) -> int:
        return n_classes + n_features if self.fraction else 0

    def remember(self, batch: Batch, outputs: Outputs) -> Tensor:
        return torch.cat([outputs.error(batch.y), outputs.features], dim=1)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if not self.fraction:
            return EpochPlan(epoch.all_ids)
        refresh = epoch.all_ids if epoch.index % self.every == 0 else None
        if epoch.index == 0:
            return EpochPlan(epoch.all_ids, refresh=refresh)
        if (epoch.index - 1) % self.every == 0:
            self.weights = self._weights(epoch, stats)
        assert self.weights is not None
        return EpochPlan(self.weights.nonzero().squeeze(1), weights=self.weights, refresh=refresh)

    def _weights(self, epoch: Epoch, stats: SampleStats) -> Tensor:
        """(n,) float32, 1 on average over those chosen; where too few are, random others of weight 1 come in."""
        assert stats.memory is not None
        error, features = stats.memory[:, : epoch.n_classes], stats.memory[:, epoch.n_classes :]
        order = shuffled(epoch)
        groups = torch.split(order, self.group)
        gradients = torch.stack([mean_gradient(error[ids], features[ids]) for ids in groups]).cpu()
        n_kept = epoch.n_samples - share_of(epoch.n_samples, self.fraction)
        chosen = self.choose(gradients, -(-n_kept // self.group)).float().to(order.device)
        weights = torch.zeros(epoch.n_samples, device=order.device)
        weights[order] = chosen.repeat_interleave(torch.tensor([len(ids) for ids in groups], device=order.device))
        others = order[weights[order] == 0]
        weights[others[: max(0, n_kept - int((weights > 0).sum()))]] = 1.0
        return weights / weights[weights > 0].mean()


def mean_gradient(error: Tensor, features: Tensor) -> Tensor:
    """The mean gradient at the last layer of k samples, flat: (C * (d + 1),) float64.

    Args:
        error: (k, C), the gradients at the logits.
        features: (k, d), the layer's input.
    """
    extended = torch.cat([features, torch.ones(len(features), 1, device=features.device)], dim=1).double()
    return (error.double().T @ extended / len(error)).flatten()
