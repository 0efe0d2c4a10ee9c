"""What is to be reached: an accuracy, or a multiple of the baseline's final error."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kbench.analysis.interval import mean_of

ROUNDING = 1e-12  # a run that ended at the error asked for has reached it


@dataclass(frozen=True)
class Target:
    """An accuracy [fraction], or ``factor`` times the baseline's mean final error on the same pair."""

    asked: str
    accuracy: float | None = None
    factor: float | None = None

    def on(self, finals: Sequence[float]) -> float | None:
        """The accuracy to reach [fraction], where the baseline's runs ended at ``finals``; None if not known."""
        if self.factor is None:
            return self.accuracy
        final = mean_of(finals)
        return None if final is None else 1 - self.factor * (1 - final) - ROUNDING


def target_of(asked: str | float) -> Target:
    """Read a target: ``0.76``, or ``final*1.1`` as in the Selective-Backprop paper (arXiv:1910.00762, Table 1).

    Raises ValueError for anything else.
    """
    text = f"{asked:g}" if isinstance(asked, float) else asked.strip()
    multiple = re.fullmatch(r"final\s*\*\s*(\S+)", text)
    try:
        number = float(multiple[1] if multiple else asked)
    except ValueError:
        number = math.nan
    if multiple and 0 < number < math.inf:
        return Target(f"final*{number:g}", factor=number)
    if not multiple and 0 < number <= 1:
        return Target(text, accuracy=number)
    raise ValueError(f"must be a fraction in (0, 1] or final*K, got {asked if multiple else text}")
