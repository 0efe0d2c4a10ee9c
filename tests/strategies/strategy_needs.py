"""Parameters without which a strategy cannot be made."""

from pathlib import Path
from typing import Any

IDS = Path(__file__).parents[1] / "fixtures" / "sample-ids.npy"  # 400 of the ids below 500, in any order
NEEDED: dict[str, dict[str, Any]] = {
    "subset": {"file": str(IDS), "digest": "4cf6167a79d443d5"},
    "warmup": {"then": "kakurenbo", "epochs": 1},
}

# With these every strategy chooses, remembers and changes phase within three epochs.
THREE_EPOCHS: dict[str, dict[str, Any]] = {
    **NEEDED,
    "budget": {"share": 0.67},
    "iswr": {"unbiased": True},
    "forget": {"fraction": 0.25, "score_epochs": 2},
    "forget-online": {"fraction": 0.4},
    "sb-stale": {"every": 2},
    "kakurenbo": {"fraction": 0.3, "confidence": 0.3, "milestones": [2], "shares": [1.0, 0.5]},
    "kf18": {"threshold": 1.0, "momentum": 0.0},
    "rho-loss": {"keep": 0.34, "holdout_epochs": 2},
    "prune-el2n": {"score_epochs": 2},
    "dual": {"score_epochs": 2, "window": 2},
    "divbs": {"keep": 0.5, "candidates": 4},
    "gradmatch": {"every": 1, "group": 48},
    "craig": {"every": 2, "group": 48},
    "ies": {"threshold": 1.0, "window": 1},
    "progressive": {"delay": 0.3},
}
