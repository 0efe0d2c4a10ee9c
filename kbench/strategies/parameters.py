"""A strategy's dataclass is the schema of its parameters."""

import dataclasses
import typing
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model

from kbench.config.parse import sentence
from kbench.strategies.api import Strategy


def schema(cls: type[Strategy]) -> type[BaseModel]:
    """The parameters of a strategy as a pydantic model; its state is left out."""
    hints = typing.get_type_hints(cls, include_extras=True)
    own: Any = cls  # a dataclass, as every strategy is
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(own):
        if field.init:
            default = ... if field.default is dataclasses.MISSING else field.default
            fields[field.name] = (hints[field.name], default)
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def check(cls: type[Strategy], params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Everything that is wrong with ``params``: (path of the parameter, sentence)."""
    model = schema(cls)
    try:
        model.model_validate(params)
        cls(**resolve(cls, params))
    except ValidationError as error:
        return [(e["loc"], sentence(e, model.model_fields)) for e in error.errors()]
    except ValueError as error:
        return [((), str(error))]
    return []


def resolve(cls: type[Strategy], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters in their own types, with every default written out."""
    return dict(schema(cls).model_validate(params))


class Parameter(TypedDict):
    """A parameter of a strategy, as kbench list shows it."""

    name: str
    default: JsonValue
    required: bool  # it has no default
    range: str


def described(cls: type[Strategy]) -> list[Parameter]:
    """Each parameter with its default and range, for people."""
    described = schema(cls).model_json_schema()
    required = described.get("required", ())
    return [
        Parameter(name=name, default=facts.get("default"), required=name in required, range=_range(facts))
        for name, facts in described.get("properties", {}).items()
    ]


def _range(facts: dict[str, Any]) -> str:
    """The type and the limits of a parameter, from its JSON schema."""
    if "anyOf" in facts:
        return " or ".join(map(_range, facts["anyOf"]))
    if "items" in facts:
        return f"list of {_range(facts['items'])}"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    kind = " | ".join(map(str, facts["enum"])) if "enum" in facts else facts.get("type", "")
    limits = [f"{sign} {facts[key]:g}" for key, sign in signs.items() if key in facts]
    label = ["a label of the experiment"] if kind == "string" and "pattern" in facts else []
    return ", ".join([kind, *limits, *label])
