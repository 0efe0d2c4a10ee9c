"""The pair of configs/deepcam.yaml at the paper's scale, cut short, and the five methods with what fits it."""

from pathlib import Path
from typing import Any

import yaml

from kbench.config.experiment import Pair

CONFIG = Path(__file__).parents[2] / "configs" / "deepcam.yaml"
FIVE: dict[str, dict[str, Any]] = {
    "baseline": {},
    "iswr": {},
    "forget": {"score_epochs": 1},
    "sb": {"prime_epochs": 0, "beta": 0.0},  # looks at every batch; of six samples it could not choose one
    "kakurenbo": {"fraction": 0.5, "milestones": [], "shares": [1.0]},
}


def pair() -> Pair:
    """One epoch, four samples a step; all else as it is published."""
    raw = yaml.safe_load(CONFIG.read_text())["pairs"][0]
    raw["recipe"] |= {"epochs": 1, "global_batch": 4, "warmup_epochs": 0, "milestones": []}
    return Pair.model_validate(raw)
