"""Every sample in every epoch: what all others are measured against."""

from dataclasses import dataclass

from kbench.strategies.api import Strategy


@dataclass
class Baseline(Strategy):
    """Keeps every default: one phase, the full set, no selection."""

    baseline_params = {}
