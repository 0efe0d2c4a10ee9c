"""One run: one pair, one strategy, one seed; named by the hash of its scientific content."""

import hashlib
import json
from typing import Any

from kbench.spec.choice import Choice
from kbench.spec.experiment import ExperimentSpec, Pair
from kbench.spec.parse import Spec
from kbench.spec.ranges import Count, Natural

SCHEMA = 1  # raised when the same words begin to mean another training


class RunSpec(Spec):
    """What one run trains.  Sites, paths, limits and versions are not part of it."""

    schema_version: int = SCHEMA
    experiment: str
    pair: Pair
    strategy: Choice
    follows: Choice | None = None  # the strategy that its parameter ``like`` names
    seed: Natural
    ranks: Count

    @property
    def content(self) -> dict[str, Any]:
        """What the hash covers: everything that can change the numbers, no labels."""
        strategy = self.strategy.model_dump(mode="json", exclude={"label"})
        if self.follows:  # what it stands for, not what it is called
            strategy["params"]["like"] = self.follows.model_dump(mode="json", exclude={"label"})
        return {
            "schema": self.schema_version,
            "pair": self.pair.model_dump(mode="json", exclude={"name"}),
            "strategy": strategy,
            "seed": self.seed,
            "ranks": self.ranks,
        }

    @property
    def run_id(self) -> str:
        """``pair.strategy.s0.3fa9c1d2``: readable, and different where the content is."""
        return f"{self.pair.name}.{self.strategy.label}.s{self.seed}.{_digest(self.content)}"

    @property
    def leader(self) -> "RunSpec | None":
        """The run of the same seed that this one follows, if it follows one."""
        return self.model_copy(update={"strategy": self.follows, "follows": None}) if self.follows else None

    @property
    def match_key(self) -> str:
        """The same for runs that differ in nothing but the strategy: those may be compared."""
        return _digest({key: part for key, part in self.content.items() if key != "strategy"})


def expand(experiment: ExperimentSpec, *, ranks: int) -> list[RunSpec]:
    """List the runs of an experiment in the order of its file: pairs, strategies, seeds."""
    labelled = {choice.label: choice for choice in experiment.strategies}
    return [
        RunSpec(
            experiment=experiment.name,
            pair=pair,
            strategy=choice,
            follows=labelled[choice.like] if choice.like else None,
            seed=seed,
            ranks=ranks,
        )
        for pair in experiment.pairs
        for choice in experiment.strategies
        for seed in experiment.seeds
    ]


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
