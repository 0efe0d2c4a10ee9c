"""What is compared: pairs of model and data set, strategies, seeds.  No machine is named here."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails

from kbench.spec.catalogue import Catalogue
from kbench.spec.choice import Choice, label_of, stray_followers
from kbench.spec.parse import Spec, all_at_once, did_you_mean, problem
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


def _not_empty(raw: Any) -> Any:
    if raw == []:
        raise ValueError("must not be empty")
    return raw


NotEmpty = BeforeValidator(_not_empty)


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

    @model_validator(mode="wrap")
    @classmethod
    def _known(cls, raw: Any, handler: Callable[[Any], Self], info: ValidationInfo) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        found = []
        if info.context is not None:
            catalogue: Catalogue = info.context
            told = catalogue.pair_problems(raw.get("model"), raw.get("dataset"), raw.get("recipe"))
            found = [problem(text, tuple(key.split(".")), None) for key, text in told]
        name = pair_name(raw)
        return all_at_once(cls, raw if name is None else {"name": name, **raw}, handler, found)


def pair_name(raw: Any) -> str | None:
    """The name that a pair has or gets; None where it cannot have any."""
    if not isinstance(raw, dict) or not {"model", "dataset"} <= raw.keys():
        return None
    made = re.sub(r"[^A-Za-z0-9_]+", "-", f"{raw['model']}-{raw['dataset']}").strip("-")
    return str(raw.get("name", made[:60]))


class ExperimentSpec(Spec):
    """Everything that is scientific about a comparison."""

    name: Name
    pairs: Annotated[tuple[Pair, ...], NotEmpty]
    strategies: Annotated[tuple[Choice, ...], NotEmpty]
    seeds: Annotated[tuple[Natural, ...], NotEmpty] = (0, 1, 2)
    baseline: Name = "baseline"  # the label that the others are compared with
    targets: tuple[Share, ...] = ()  # accuracies [fraction] to reach

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must differ from one another, got {list(seeds)}")
        return seeds

    @model_validator(mode="wrap")
    @classmethod
    def _unambiguous(cls, raw: Any, handler: Callable[[Any], Self]) -> Self:
        found = []
        if isinstance(raw, dict):
            found += _repeated(raw, "pairs", pair_name, "pair", "name")
            found += _repeated(raw, "strategies", label_of, "strategy", "label")
            strategies = raw.get("strategies")
            labels = [label for label in map(label_of, strategies if isinstance(strategies, list) else []) if label]
            baseline = str(raw.get("baseline", "baseline"))
            if labels and baseline not in labels:
                text = f"no strategy is labelled {baseline!r}{did_you_mean(baseline, labels)}"
                found.append(problem(text, ("baseline",), baseline))
            found += stray_followers(strategies)
        return all_at_once(cls, raw, handler, found)


def _repeated(
    raw: dict[str, Any], key: str, name_of: Callable[[Any], str | None], what: str, by: str
) -> list[InitErrorDetails]:
    entries = raw.get(key)
    names = [name_of(entry) for entry in entries] if isinstance(entries, list) else []
    return [
        problem(f"a second {what} called {name!r}; give it a {by} of its own", (key, i), name)
        for i, name in enumerate(names)
        if name is not None and name in names[:i]
    ]
