"""A strategy as an experiment names it: its parameters, its label, and the strategy that it follows."""

import re
from typing import Any, Literal, Protocol

from pydantic import ValidationInfo, model_validator
from pydantic_core import InitErrorDetails

from kbench.config.parse import Spec, did_you_mean, findings, problem
from kbench.config.recipe import Recipe
from kbench.config.value_types import Name

Role = Literal["control", "method", "baseline"]  # what a strategy is there for; its class says it


class NameRegistry(Protocol):
    """The registries of strategies, models and data sets, as validation asks them; passed in from above."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""

    def own_code(self, model: Any, dataset: Any, recipe: Any) -> dict[str, str]:
        """The digest of the source of each name of a pair, as it is written, that is one's own and can be found."""

    def strategy_role(self, name: str) -> Role:
        """What a strategy is there for."""

    def training_problems(
        self, name: str, params: dict[str, Any], dataset: str, recipe: Recipe
    ) -> list[tuple[tuple[str, ...], str]]:
        """What a strategy cannot do with a data set and a recipe: (path below its name, sentence)."""


class Choice(Spec):
    """A strategy and its parameters, under the label that tables and curves show."""

    label: Name
    name: str
    params: dict[str, Any] = {}
    role: Role | None = None  # no part of what a run trains, like the label; None: an older kbench did not record it

    @property
    def like(self) -> str | None:
        """The label of the strategy whose finished runs this one follows, if any."""
        named = self.params.get("like")
        return named if isinstance(named, str) else None

    @model_validator(mode="before")
    @classmethod
    def _written(cls, raw: Any, info: ValidationInfo) -> Any:
        """Accept ``sb``, ``{sb: {beta: 2}}`` and ``{sb: {beta: 2}, label: sb-2}``."""
        if isinstance(raw, str):
            raw = {raw: {}}
        if not isinstance(raw, dict):
            raise ValueError(f"must be a strategy's name or {{name: parameters}}, got {raw!r}")
        in_full = is_in_full(raw)
        named = {raw["name"]: raw.get("params")} if in_full else {k: v for k, v in raw.items() if k != "label"}
        if len(named) != 1:
            raise ValueError(f"must hold one strategy's name, got {', '.join(map(str, raw)) or 'none'}")
        name, params = next(iter(named.items()))
        at_name, at_params = ("name", "params") if in_full else (name, name)
        params = {} if params is None else params
        if not isinstance(params, dict):
            found = f"parameters must be a mapping of names to values, got {params!r}"
            raise findings([problem(found, (at_params,), params)])
        written = {"label": label_of(raw), "name": str(name), "params": params}
        if info.context is not None:
            registry: NameRegistry = info.context
            if problems := registry.strategy_problems(str(name), params):
                raise findings(
                    [problem(text, (at_params, *loc) if loc else (at_name,), None) for loc, text in problems]
                )
            written["params"] = registry.strategy_params(str(name), params)
            written["role"] = registry.strategy_role(str(name))
        return {**raw, **written} if in_full else written


def is_in_full(raw: Any) -> bool:
    """Whether a strategy's entry spells out name, label and params, as runs store it."""
    return isinstance(raw, dict) and {"name", "label"} <= raw.keys()


def label_of(raw: Any) -> str | None:
    """The label that a strategy's entry has or gets; None where it cannot have any."""
    if isinstance(raw, str):
        raw = {raw: {}}
    if not isinstance(raw, dict) or not raw:
        return None
    name = next((key for key in raw if key != "label"), "")
    return str(raw.get("label", re.sub(r"[^A-Za-z0-9_-]+", "-", str(name)).strip("-")))


def unknown_prerequisites(strategies: Any) -> list[InitErrorDetails]:
    """What is wrong with parameters named ``like``: each holds the label of one that follows none."""
    entries = strategies if isinstance(strategies, list) else []
    likes = {label_of(entry): _like(entry) for entry in entries}
    independent = [str(label) for label, like in likes.items() if like is None]
    return [
        problem(
            f"must be the label of another strategy that follows none{did_you_mean(like[1], independent)}",
            ("strategies", i, like[0], "like"),
            like[1],
        )
        for i, like in enumerate(map(_like, entries))
        if like and like[1] not in independent
    ]


def _like(entry: Any) -> tuple[str, str] | None:
    """The strategy's name and its parameter ``like``, as they are written."""
    named = entry if isinstance(entry, dict) else {}
    found = [
        (str(key), params["like"]) for key, params in named.items() if isinstance(params, dict) and "like" in params
    ]
    return found[0] if found and isinstance(found[0][1], str) else None
