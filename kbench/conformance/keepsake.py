"""What a method remembers, through a checkpoint and back."""

import io
from collections.abc import Mapping
from typing import Any

import torch


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
