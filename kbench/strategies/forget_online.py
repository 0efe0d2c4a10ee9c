"""FORGET without a restart: hide in each epoch what has been forgotten least so far."""

from dataclasses import dataclass
from typing import Literal

import torch

from kbench.config.value_types import Natural
from kbench.strategies.api import AsCoded, Epoch, EpochPlan, SampleStats
from kbench.strategies.forgetting import CountsForgetting


@dataclass
class ForgetOnline(CountsForgetting):
    """Hides the ``int(fraction * n)`` least forgotten samples of an epoch, ranked anew in each.

    Source: the code of the KAKURENBO comparison (arXiv:2310.10102, ``..._forget_lag.py`` and
    ``pretrain_forget.py``), after Toneva et al. 2018 (arXiv:1812.05159), whose method is ``forget``.
    An event is: right at one forward pass, wrong at the next; each epoch takes one of a sample, in training
    or, if it is hidden, in a forward pass at the end, so that hidden samples are forgotten too and
    come back.  Hiding begins in epoch ``start_epoch``; there can be no event before epoch 1, and no
    plan knows of one before epoch 2.  Losses are not weighted and the learning rate is not scaled.
    Departures from the code, each with its option: a sample never learnt counts as most forgettable,
    as Toneva et al. have it, while the code counts it as never forgotten and hides it first
    (``keep_unlearnt: false``); the refresh runs in evaluation mode (``refresh_in: train``); the
    learning rate follows the epochs, while the DeiT script counts real updates against full epochs
    (``lr_clock: updates``).  Without an option: ties, which are the rule in the first epochs, go to
    the lower sample id, where theirs follow the sort; a sample seen by two ranks counts once, and one
    never seen is not hidden.  ResNet-50's ``optim_v2`` script never adds up the counts (ours does),
    and the DeiT run was started without a fraction, so that it hid nothing.
    """

    baseline_params = {"fraction": 0.0}

    start_epoch: Natural = 2
    refresh_in: Literal["eval", "train"] = "eval"
    lr_clock: Literal["epochs", "updates"] = "epochs"

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        self.count(stats.correct)
        hides = epoch.index >= self.start_epoch
        hidden = self.least_forgotten(stats) if hides else torch.zeros_like(stats.correct)
        return EpochPlan.hide(hidden, as_coded=AsCoded(refresh_in=self.refresh_in, lr_clock=self.lr_clock))
