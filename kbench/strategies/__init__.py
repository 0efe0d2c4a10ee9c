"""Which samples next?  A strategy is one small file; this is where it gets its name."""

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from kbench.errors import ConfigError

if TYPE_CHECKING:
    from kbench.strategies.api import Strategy

STRATEGIES = {
    "baseline": "kbench.strategies.baseline:Baseline",
    "random": "kbench.strategies.random_hiding:RandomHiding",
    "budget": "kbench.strategies.budget:Budget",
    "iswr": "kbench.strategies.iswr:ISWR",
    "forget": "kbench.strategies.forget:Forget",
    "sb": "kbench.strategies.sb:SelectiveBackprop",
    "kakurenbo": "kbench.strategies.kakurenbo:Kakurenbo",
}


def known() -> dict[str, str]:
    """Every strategy's name with its ``module:Class``: ours, and those of installed packages."""
    theirs = {entry.name: entry.value for entry in entry_points(group="kbench.strategies")}
    return theirs | STRATEGIES


def strategy_class(name: str) -> "type[Strategy]":
    """The class that ``name`` stands for: a known name, or ``package.module:Class``.

    Raises ConfigError when there is none.
    """
    target = name if ":" in name else known().get(name)
    if target is None:
        raise ConfigError(f"unknown strategy {name!r}; known: {', '.join(known())}")
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"strategy {name!r} cannot be loaded: {error}") from error
    return _accepted(name, found)


def _accepted(name: str, found: Any) -> "type[Strategy]":
    from kbench.strategies.api import Strategy

    if isinstance(found, type) and issubclass(found, Strategy) and hasattr(found, "__dataclass_fields__"):
        return found
    raise ConfigError(
        f"strategy {name!r} cannot be loaded: it is no dataclass derived from kbench.strategies.api.Strategy"
    )


def load(name: str, params: dict[str, Any] | None = None) -> "Strategy":
    """Make a strategy: ``load("kakurenbo", {"fraction": 0.3})``.

    Raises ConfigError with every parameter that is unknown or out of its range.
    """
    from kbench.strategies.params import check, resolve

    params = params or {}
    cls = strategy_class(name)
    problems = check(cls, params)
    if problems:
        raise ConfigError(f"{name}: {'.'.join(map(str, loc)) or 'parameters'}: {text}" for loc, text in problems)
    return cls(**resolve(cls, params))
