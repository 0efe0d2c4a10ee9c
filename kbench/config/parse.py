"""Parse a YAML document into a validated model; every mistake is reported at once, each at its line."""

import difflib
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from kbench.config.yaml_source import Loc, Source, dotted
from kbench.errors import ConfigError


class Spec(BaseModel):
    """The base of all specs: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], source: Source, *, context: object = None) -> Model:
    """Validate ``source`` as a ``model``; raises ConfigError with all that is wrong."""
    try:
        return model.model_validate(source.tree, context=context)
    except ValidationError as error:
        found = [(source.place(loc), loc, text) for loc, text in _restated(error, model)]
        raise ConfigError(
            f"{place}: {dotted(loc)}: {text}" for place, loc, text in sorted(found, key=lambda f: _line(f[0]))
        ) from error


def all_at_once(model: type[Model], raw: Any, handler: Callable[[Any], Model], found: list[InitErrorDetails]) -> Model:
    """Validate ``raw`` with ``handler``; what was ``found`` before and what it finds are one report."""
    try:
        parsed = handler(raw)
    except ValidationError as error:
        raise findings(found + [problem(text, loc, None) for loc, text in _restated(error, model)]) from None
    if found:
        raise findings(found)
    return parsed


def _restated(error: ValidationError, model: type[BaseModel]) -> list[tuple[Loc, str]]:
    """Each finding as a sentence for users, at the place where they would correct it."""
    return [(_spot(e), sentence(e, known_keys(model, e["loc"]))) for e in error.errors()]


def sentence(error: ErrorDetails, known: Iterable[str] = ()) -> str:
    """Rewrite what pydantic found as a sentence for users."""
    key = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "missing":
            return f"missing key {key!r}"
        case "extra_forbidden":
            return f"unknown key {quoted(key)}{did_you_mean(key, known)}"
        case "kbench" | "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "model_type" | "model_attributes_type":
            return f"must be a mapping of keys to values, got {quoted(error['input'])}"
        case "literal_error":
            options = str(error["ctx"]["expected"])
            return (
                f"must be {options}, got {quoted(error['input'])}"
                f"{did_you_mean(str(error['input']), options.replace(chr(39), ' ').split(), strict=True)}"
            )
        case "string_pattern_mismatch":
            return f"must be letters, digits, - and _ only, got {quoted(error['input'])}"
    text = (
        error["msg"]
        .replace("Input should be", "must be")
        .replace("a valid integer", "an integer")
        .replace("a valid tuple", "a list")
        .replace("a valid", "a")
    )
    return f"{text[0].lower()}{text[1:]}, got {quoted(error['input'])}"


def quoted(value: object) -> str:
    """What a user wrote, as an error repeats it: not more than 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def did_you_mean(word: str, known: Iterable[str], *, strict: bool = False) -> str:
    """Return "; did you mean 'x'?" or, unless ``strict``, the list of what is known, or nothing."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word[:60], known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(known)}" if known and not strict else ""


def problem(text: str, loc: Loc, got: object) -> InitErrorDetails:
    """Describe one problem that a validator found, to be raised with ``findings``."""
    kind = PydanticCustomError("kbench", "{text}", {"text": text})
    return InitErrorDetails(type=kind, loc=loc, input=got)


def findings(problems: list[InitErrorDetails]) -> ValidationError:
    """Bundle several problems into one ValidationError, so that none hides another."""
    return ValidationError.from_exception_data("kbench", problems)


def known_keys(model: Any, loc: Loc) -> list[str]:
    """The keys that could have stood where ``loc`` ends."""
    for part in loc[:-1]:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = _spec_in(field.annotation) if field else None
    is_spec = isinstance(model, type) and issubclass(model, BaseModel)
    return list(model.model_fields) if is_spec else []


def _spec_in(annotation: Any) -> Any:
    """The spec inside tuple[X, ...], X | None or Annotated[X, ...]; else the annotation."""
    if not typing.get_args(annotation):
        return annotation
    inner = [_spec_in(arg) for arg in typing.get_args(annotation)]
    return next((a for a in inner if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _spot(error: ErrorDetails) -> Loc:
    """A missing key is reported at the mapping that lacks it, all else where it stands."""
    return error["loc"][:-1] if error["type"] == "missing" else error["loc"]


def _line(place: str) -> tuple[str, int]:
    name, _, line = place.rpartition(":")
    return (name, int(line)) if line.isdigit() else (place, 0)
