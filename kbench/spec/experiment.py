"""What is compared: pairs of model and data set, strategies, seeds.  No machine is named here."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kbench.spec.parse import Spec, did_you_mean, findings, problem
from kbench.spec.ranges import (
    Count,
    Flag,
    Fraction,
    Name,
    Natural,
    NonNegative,
    Positive,
    Probability,
    Share,
)


class Catalogue(Protocol):
    """What the names in an experiment stand for; handed in from above, as specs know no torch."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""

    def pair_problems(self, model: str, dataset: str, recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with a pair: (dotted key, sentence)."""


class Recipe(Spec):
    """How a model is trained: the same for every strategy.  Epochs are passes over the data set."""

    epochs: Count
    global_batch: Count  # samples per step, over all ranks
    lr: Positive  # for that global batch, whatever the number of ranks
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: tuple[Positive, ...] = ()  # [epoch] where a step schedule drops
    gamma: Share = 0.1  # what is left of the learning rate at each milestone
    warmup_epochs: NonNegative = 0.0  # linear ramp ...
    warmup_from: Probability = 0.0  # ... from this share of the learning rate
    min_lr: NonNegative = 0.0  # where a cosine ends
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Fraction = 0.9
    nesterov: Flag = False
    weight_decay: NonNegative = 0.0
    label_smoothing: Fraction = 0.0
    augment: Annotated[str, Field(strict=True)] = "none"  # a name that the data set knows
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: Flag = False
    compile: Flag = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leaves nothing of {self.epochs} epochs")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")
        if self.milestones and self.schedule != "step":
            raise ValueError(f"milestones belong to the schedule 'step', got {self.schedule!r}")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise ValueError(f"milestone {self.milestones[-1]:g} is never reached in {self.epochs} epochs")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Pair(Spec):
    """A model, a data set and the recipe that trains one on the other."""

    name: Name = ""
    model: Annotated[str, Field(strict=True)]
    dataset: Annotated[str, Field(strict=True)]
    recipe: Recipe

    @model_validator(mode="before")
    @classmethod
    def _named(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "name" not in raw and {"model", "dataset"} <= raw.keys():
            name = re.sub(r"[^A-Za-z0-9_]+", "-", f"{raw['model']}-{raw['dataset']}").strip("-")
            return raw | {"name": name[:60]}
        return raw

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> Self:
        if info.context is not None:
            catalogue: Catalogue = info.context
            found = catalogue.pair_problems(self.model, self.dataset, self.recipe.model_dump())
            if found:
                raise findings([problem(text, tuple(key.split(".")), None) for key, text in found])
        return self


class Choice(Spec):
    """A strategy and its parameters, under the label that tables and curves show."""

    label: Name
    name: str
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _written(cls, raw: Any, info: ValidationInfo) -> Any:
        """Accept ``sb``, ``{sb: {beta: 2}}`` and ``{sb: {beta: 2}, label: sb-2}``."""
        if isinstance(raw, str):
            raw = {raw: {}}
        if not isinstance(raw, dict):
            raise ValueError(f"must be a strategy's name or {{name: parameters}}, got {raw!r}")
        if {"name", "label"} <= raw.keys():
            return raw
        named = {key: value for key, value in raw.items() if key != "label"}
        if len(named) != 1:
            raise ValueError(f"must hold one strategy's name, got {', '.join(map(str, raw)) or 'none'}")
        name, params = next(iter(named.items()))
        params = {} if params is None else params
        if not isinstance(params, dict):
            found = f"parameters must be a mapping of names to values, got {params!r}"
            raise findings([problem(found, (name,), params)])
        if info.context is not None:
            params = _checked(info.context, str(name), params)
        label = raw.get("label", re.sub(r"[^A-Za-z0-9_-]+", "-", str(name)).strip("-"))
        return {"label": label, "name": str(name), "params": params}


def _checked(catalogue: Catalogue, name: str, params: dict[str, Any]) -> dict[str, Any]:
    found = catalogue.strategy_problems(name, params)
    if found:
        raise findings([problem(text, (name, *loc), None) for loc, text in found])
    return catalogue.strategy_params(name, params)


class ExperimentSpec(Spec):
    """Everything that is scientific about a comparison."""

    name: Name
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]
    strategies: Annotated[tuple[Choice, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (0, 1, 2)
    baseline: Name = "baseline"  # the label that the others are compared with
    targets: tuple[Share, ...] = ()  # accuracies [fraction] to reach

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must differ from one another, got {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        labels = [choice.label for choice in self.strategies]
        found = []
        for i, label in enumerate(labels):
            if label in labels[:i]:
                text = f"a second {label!r}; give it a label of its own: {{{self.strategies[i].name}: ..., label: ...}}"
                found.append(problem(text, ("strategies", i), label))
        for i, pair in enumerate(self.pairs):
            if pair.name in [other.name for other in self.pairs[:i]]:
                found.append(
                    problem(f"a second pair {pair.name!r}; give it a name of its own", ("pairs", i), pair.name)
                )
        if self.baseline not in labels:
            text = f"no strategy is labelled {self.baseline!r}{did_you_mean(self.baseline, labels)}"
            found.append(problem(text, ("baseline",), self.baseline))
        if found:
            raise findings(found)
        return self
