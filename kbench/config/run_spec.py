"""One run: one pair, one strategy, one seed; named by the hash of its scientific content."""

import hashlib
import json
from typing import Any

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.parse import Spec
from kbench.config.strategy_choice import Choice
from kbench.config.value_types import Count, Natural

SCHEMA = 1  # raised when the same words begin to mean another training; where only some do, see schema_of
LATER_RECIPE = {
    "n_train": 0,
    "long_tail": 1.0,
    "noise": 0.0,
    "loss": "cross-entropy",
    "metric": "task",
    "batchnorm_group": 0,
    "accumulate": 1,
    "erase_mode": None,
    "mixup": 0.0,
    "cutmix": 0.0,
    "mix_chance": 1.0,
    "mix_switch": 0.5,
    "mix_group": 0,
    "mix_label": None,
    "interpolation": None,
    "val_interpolation": "bilinear",
}  # keys at the value that trains as before they came
LATER_PARAMS = {"lr": "plain", "length": "epochs"}  # at the value that trains as before they came
PLAIN_RATE = frozenset(  # never scale the learning rate: to follow theirs is to train as before
    "baseline budget iswr kf18 forget forget-online sb sb-stale sb-epoch infobatch autoassist rho-loss".split()
    + ["prune-el2n"]
)
NO_CONTENT = {"label", "role"}  # of a strategy: how it is shown


class Origin(Spec):
    """The run whose last weights another one begins with: the same seed, another pair."""

    pair: Pair
    strategy: Choice
    follows: Choice | None = None


class RunSpec(Spec):
    """What one run trains.  Sites, paths, limits and versions are not part of it."""

    schema_version: int = SCHEMA
    experiment: str
    pair: Pair
    strategy: Choice
    follows: Choice | None = None  # the strategy that its parameter ``like`` names
    upstream: Origin | None = None  # where its weights come from; None: it begins with fresh ones
    seed: Natural
    ranks: Count

    @property
    def content(self) -> dict[str, Any]:
        """What the hash covers: everything that can change the numbers, no labels."""
        strategy = self.strategy.model_dump(mode="json", exclude=NO_CONTENT)
        strategy["params"] = {
            key: value for key, value in strategy["params"].items() if not self._is_as_before(key, value)
        }
        if self.follows:  # what it stands for, not what it is called
            strategy["params"]["like"] = self.follows.model_dump(mode="json", exclude=NO_CONTENT)
        pair = self.pair.model_dump(mode="json", exclude={"name", "paper", "margin", "starts_from"})
        pair["recipe"] = {key: value for key, value in pair["recipe"].items() if value != LATER_RECIPE.get(key, ...)}
        if not self.pair.code:
            del pair["code"]
        content = {
            "schema": self.schema_version,
            "pair": pair,
            "strategy": strategy,
            "seed": self.seed,
            "ranks": self.ranks,
        }
        if self.upstream and self.prerequisite:
            content["upstream"] = {key: self.prerequisite.content[key] for key in ("pair", "strategy")}
        return content

    def _is_as_before(self, key: str, value: Any) -> bool:
        """Whether a parameter that came later changes nothing, so that what was trained before keeps its name."""
        return value == LATER_PARAMS.get(key, ...) or (
            key == "lr" and value == "like" and (self.follows is None or self.follows.name in PLAIN_RATE)
        )

    @property
    def method(self) -> dict[str, Any]:
        """What the label stands for: downstream, the strategy that trained the weights to begin with."""
        of = self.prerequisite if self.upstream and self.prerequisite else self
        method: dict[str, Any] = of.content["strategy"]
        return method

    @property
    def run_id(self) -> str:
        """``pair.strategy.s0.3fa9c1d2``: readable, and different where the content is."""
        return f"{self.pair.name}.{self.strategy.label}.s{self.seed}.{_digest(self.content)}"

    @property
    def prerequisite(self) -> "RunSpec | None":
        """The run of the same seed that must be done before this one: that it follows, or begins from."""
        if self.upstream:
            content = {name: getattr(self.upstream, name) for name in Origin.model_fields}
            schema = min(self.schema_version, schema_of(self.upstream.pair))
            return self.model_copy(update={"upstream": None, "schema_version": schema, **content})
        return self.model_copy(update={"strategy": self.follows, "follows": None}) if self.follows else None

    @property
    def match_key(self) -> str:
        """The same for runs that differ in nothing but the strategy: those may be compared."""
        content = {key: part for key, part in self.content.items() if key != "strategy"}
        if self.upstream:
            content["upstream"] = content["upstream"]["pair"]
        return _digest(content)

    @property
    def noise_key(self) -> str:
        """The same for runs that differ in nothing but the noise of their labels, the strategy and the seed."""
        content = {key: part for key, part in self.content.items() if key not in ("strategy", "seed")}
        content["pair"]["recipe"].pop("noise", None)
        if self.upstream:
            content["upstream"] = content["upstream"]["pair"]
        return _digest(content)


def schema_of(*pairs: Pair) -> int:
    """The schema of a run on these pairs: 2 where images are erased, as a rectangle then leaves some of each side."""
    return 2 if any(pair.recipe.random_erase for pair in pairs) else SCHEMA


def expand(experiment: ExperimentSpec, *, ranks: int) -> list[RunSpec]:
    """List the runs of an experiment in the order of its file: pairs, strategies, seeds."""
    labelled = {choice.label: choice for choice in experiment.strategies}
    pairs = {pair.name: pair.model_copy(update={"paper": None, "margin": None}) for pair in experiment.pairs}
    return [
        _run(experiment.name, pair, choice, labelled, pairs, seed=seed, ranks=ranks)
        for pair in pairs.values()
        for choice in experiment.strategies
        for seed in experiment.seeds
    ]


def _run(
    experiment: str, pair: Pair, choice: Choice, labelled: dict[str, Choice], pairs: dict[str, Pair], *,
    seed: int, ranks: int,
) -> RunSpec:  # fmt: skip
    """One run; downstream of another pair, every strategy trains like the baseline, from its own weights."""
    follows = labelled[choice.like] if choice.like else None
    upstream = None
    if pair.starts_from:
        upstream = Origin(pair=pairs[pair.starts_from], strategy=choice, follows=follows)
        choice, follows = Choice(label=choice.label, name="baseline", role="baseline"), None
    return RunSpec(
        schema_version=schema_of(pair, *([upstream.pair] if upstream else [])),
        experiment=experiment, pair=pair, strategy=choice, follows=follows, upstream=upstream, seed=seed, ranks=ranks,
    )  # fmt: skip


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
