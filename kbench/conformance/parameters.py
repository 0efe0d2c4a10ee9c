"""Are a method's parameters and phases what the experiment file and the loop take them for?"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from kbench.conformance.finding import Finding
from kbench.errors import ConfigError
from kbench.strategies import load, strategy_class
from kbench.strategies.api import Phase, Strategy
from kbench.strategies.params import check, resolve, schema

NONSENSE = (float("nan"), "1")  # for a number
LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
RANGES = "type it with a range of kbench.spec.ranges, as fraction: Fraction = 0.3"


def breach_of_parameters(name: str, params: dict[str, Any]) -> Finding | None:
    """The first parameter that takes what makes no sense, or that a run's name cannot hold."""
    cls = strategy_class(name)
    for parameter, facts in schema(cls).model_json_schema().get("properties", {}).items():
        numbers = list(_numbers(facts))
        if any(not any(limit in number for limit in LIMITS) for number in numbers):
            return _finding("it takes any number, without a limit", parameter, RANGES)
        for nonsense in NONSENSE if numbers and not _takes_text(facts) else ():
            if not _problems(cls, params | {parameter: nonsense}):
                return _finding(f"it takes {nonsense!r} for a number", parameter, RANGES)
    try:
        text = json.dumps(to_jsonable_python(resolve(cls, params)), allow_nan=False)
        if load(name, json.loads(text)) != load(name, params):
            raise ValueError("they come back as others")
    except (ValueError, TypeError, ConfigError) as error:
        what = f"its parameters do not survive the file of a run: {error}"
        return _finding(what, "all parameters", "take numbers, text, flags, and tuples of them")
    return None


def breach_of_phases(strategy: Strategy) -> Finding | None:
    """What is wrong with the phases of recipes of different lengths."""
    for epochs in (1, 2, 10, 300):
        phases = strategy.phases(epochs)
        if not isinstance(phases, tuple) or not phases or not all(isinstance(phase, Phase) for phase in phases):
            return _of_phases(f"phases returned {phases!r}", epochs, "return a tuple of Phase")
        if phases[-1].name != "train" or len({phase.name for phase in phases}) < len(phases):
            names = ", ".join(phase.name for phase in phases)
            return _of_phases(f"the phases are {names}", epochs, "give each its own name, and 'train' to the last")
        for phase in phases:
            if not 1 <= phase.epochs <= phase.horizon:
                what = f"phase {phase.name} has {phase.epochs} epochs of a horizon of {phase.horizon}"
                return _of_phases(what, epochs, "give at least one epoch, and no more than the horizon")
        if strategy.phases(epochs) != phases:
            return _of_phases("asked twice, phases answered differently", epochs, "answer from the parameters alone")
    return None


def _numbers(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every number in the JSON schema of a parameter, in lists and alternatives too."""
    if facts.get("type") in ("number", "integer") and "enum" not in facts and "const" not in facts:
        yield facts
    for part in [*facts.get("anyOf", []), *facts.get("prefixItems", []), facts.get("items")]:
        if isinstance(part, dict):
            yield from _numbers(part)


def _takes_text(facts: dict[str, Any]) -> bool:
    return any(part.get("type") == "string" for part in [facts, *facts.get("anyOf", [])])


def _problems(cls: type[Strategy], params: dict[str, Any]) -> bool:
    try:
        return bool(check(cls, params))
    except Exception:  # a __post_init__ that stumbles over nonsense has not taken it
        return True


def _finding(what: str, parameter: str, do: str) -> Finding:
    return Finding(check="parameters", what=what, where=parameter, do=do)


def _of_phases(what: str, epochs: int, do: str) -> Finding:
    return Finding(check="phases", what=what, where=f"a recipe of {epochs} epochs", do=do)
