"""A strategy as an experiment names it: its parameters, its label, and whom it follows."""

import re
from typing import Any, Protocol

from pydantic import ValidationInfo, model_validator
from pydantic_core import InitErrorDetails

from kbench.config.parse import Spec, did_you_mean, findings, problem
from kbench.config.value_types import Name


class Catalogue(Protocol):
    """What the names in an experiment stand for; handed in from above, as specs know no torch."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""

    def clashes(self, params: dict[str, Any], dataset: str, global_batch: int) -> list[tuple[str, str]]:
        """What a strategy's parameters, in full, make impossible on a data set: (parameter, sentence)."""


class Choice(Spec):
    """A strategy and its parameters, under the label that tables and curves show."""

    label: Name
    name: str
    params: dict[str, Any] = {}

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
        return {"label": label_of(raw), "name": str(name), "params": params}


def label_of(raw: Any) -> str | None:
    """The label that a strategy's entry has or gets; None where it cannot have any."""
    if isinstance(raw, str):
        raw = {raw: {}}
    if not isinstance(raw, dict) or not raw:
        return None
    name = next((key for key in raw if key != "label"), "")
    return str(raw.get("label", re.sub(r"[^A-Za-z0-9_-]+", "-", str(name)).strip("-")))


def _checked(catalogue: Catalogue, name: str, params: dict[str, Any]) -> dict[str, Any]:
    found = catalogue.strategy_problems(name, params)
    if found:
        raise findings([problem(text, (name, *loc), None) for loc, text in found])
    return catalogue.strategy_params(name, params)


def stray_followers(strategies: Any) -> list[InitErrorDetails]:
    """What is wrong with parameters named ``like``: each holds the label of one that follows none."""
    entries = strategies if isinstance(strategies, list) else []
    likes = {label_of(entry): _like(entry) for entry in entries}
    leaders = [str(label) for label, like in likes.items() if like is None]
    return [
        problem(
            f"must be the label of another strategy that follows none{did_you_mean(like[1], leaders)}",
            ("strategies", i, like[0], "like"),
            like[1],
        )
        for i, like in enumerate(map(_like, entries))
        if like and like[1] not in leaders
    ]


def _like(entry: Any) -> tuple[str, str] | None:
    """The strategy's name and whom it follows, as they are written."""
    named = entry if isinstance(entry, dict) else {}
    found = [
        (str(key), params["like"]) for key, params in named.items() if isinstance(params, dict) and "like" in params
    ]
    return found[0] if found and isinstance(found[0][1], str) else None
