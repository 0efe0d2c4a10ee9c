"""Parameters without which a strategy cannot be made."""

from pathlib import Path
from typing import Any

IDS = Path(__file__).parents[1] / "fixtures" / "sample-ids.npy"  # 400 of the ids below 500, in any order
NEEDED: dict[str, dict[str, Any]] = {
    "subset": {"file": str(IDS), "digest": "4cf6167a79d443d5"},
    "warmup": {"then": "kakurenbo", "epochs": 1},
}
