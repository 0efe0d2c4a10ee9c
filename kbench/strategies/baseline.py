"""The baseline: every sample in every epoch."""

from dataclasses import dataclass

from kbench.strategies.api import Strategy


@dataclass
class Baseline(Strategy):
    """Keeps every default: one phase, the full set, no selection."""

    role = "baseline"
    baseline_params = {}
    takes_mixed = True
