"""Copies of what a method is shown, and whether it left them alone."""

import dataclasses
import io
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def copied(thing: T) -> T:
    """The same thing (a dataclass) with its tensors copied."""
    fields = {name: value.clone() for name, value in _fields(thing).items() if isinstance(value, Tensor)}
    return dataclasses.replace(thing, **fields)  # type: ignore[type-var]


def changed(thing: object, copy: object) -> list[str]:
    """The names of the fields in which a copy is not what was copied."""
    return [name for name, value in _fields(thing).items() if not same(value, getattr(copy, name))]


def same(a: object, b: object) -> bool:
    """Whether two answers are the same, to the last bit."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return not changed(a, b)
    return a == b


def _fields(thing: object) -> dict[str, Any]:
    own: Any = thing  # a dataclass
    return {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}


def through_a_file(past: Mapping[str, Any]) -> dict[str, Any]:
    """Write what is remembered as a checkpoint does, and read it as one is read."""
    file = io.BytesIO()
    torch.save(dict(past), file)
    file.seek(0)
    back: dict[str, Any] = torch.load(file, weights_only=True)
    return back


def lost(past: Mapping[str, Any]) -> list[str]:
    """The fields that no checkpoint can hold, each with the type of what is in it."""
    found = []
    for name, value in past.items():
        try:
            through_a_file({name: value})
        except Exception:  # pickle and torch raise whatever they like
            found.append(f"{name} (of type {type(value).__name__})")
    return found
