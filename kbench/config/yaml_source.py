"""A YAML document that remembers where each of its keys stands."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from kbench.errors import ConfigError

Loc = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as its writer meant."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Source:
    """The tree of a document and, for each path in it, the place to name in an error."""

    name: str
    tree: Any
    places: dict[Loc, str] = field(default_factory=dict)

    def place(self, loc: Loc) -> str:
        """Where ``loc`` stands, or the nearest of its ancestors that is written down."""
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.places:
                return self.places[loc[:end]]
        return self.name

    def with_settings(self, settings: Sequence[str]) -> "Source":
        """Return a source in which each ``KEY=VALUE`` replaces what the document says.

        KEY is a dotted path (``pairs.0.recipe.epochs``); ``*`` stands for every item of a list.
        Raises ConfigError for a setting that has no ``=`` or leads nowhere.
        """
        tree, places = copy.deepcopy(self.tree), dict(self.places)
        for setting in settings:
            key, found, text = setting.partition("=")
            if not found or not key:
                raise ConfigError(f"--set {setting}: must be KEY=VALUE, got {setting!r}")
            path = [int(part) if part.isdigit() else part for part in key.split(".")]
            value = _read(text, f"--set {key}").tree
            spots = list(_assign(tree, path, value))
            if not spots:
                raise ConfigError(
                    f"--set {key}: leads nowhere in {self.name}",
                    hint="the path is dotted, list items are numbered from 0, * means every item",
                )
            places = {loc: place for loc, place in places.items() if not _below(loc, spots)}
            places.update({spot: f"--set {key}" for spot in spots})
        return Source(self.name, tree, places)


def read_source(path: Path) -> Source:
    """Read a YAML file; raises ConfigError when it is missing, no YAML, or repeats a key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file in UTF-8") from error
    return _read(text, str(path))


def _read(text: str, name: str) -> Source:
    try:
        node = yaml.compose(text, Loader=_Loader)
        tree = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not valid YAML: {str(error).splitlines()[0]}") from error
    try:
        walk = list(_walk(node, ())) if node else []
    except RecursionError:
        raise ConfigError(f"{name}: an alias stands inside of what it names") from None
    places = {loc: f"{name}:{line}" for loc, line in walk}
    if len(places) < len(walk):
        seen: set[Loc] = set()
        twice = [(loc, n) for loc, n in walk if loc in seen or seen.add(loc)]  # type: ignore[func-returns-value]
        raise ConfigError(f"{name}:{n}: {dotted(loc)}: is given twice" for loc, n in twice)
    return Source(name, tree, places)


def _walk(node: Node, loc: Loc) -> Iterator[tuple[Loc, int]]:
    """Yield every path below a node with the line that it starts on; () is the document."""
    if not loc:
        yield loc, node.start_mark.line + 1
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*loc, key.value), key.start_mark.line + 1
            yield from _walk(value, (*loc, key.value))
    elif isinstance(node, SequenceNode):
        for i, item in enumerate(node.value):
            yield (*loc, i), item.start_mark.line + 1
            yield from _walk(item, (*loc, i))


def _assign(tree: Any, path: Sequence[str | int], value: Any, at: Loc = ()) -> Iterator[Loc]:
    """Set ``value`` at every place that ``path`` leads to, and yield those places."""
    head, rest = path[0], path[1:]
    if isinstance(tree, list):
        keys: list[str | int] = list(range(len(tree))) if head == "*" else [head]
        keys = [key for key in keys if isinstance(key, int) and key < len(tree)]
    elif isinstance(tree, dict):
        keys = [head] if not rest or head in tree else []
    else:
        keys = []
    for key in keys:
        if rest:
            yield from _assign(tree[key], rest, value, (*at, key))
        else:
            tree[key] = value
            yield (*at, key)


def _below(loc: Loc, spots: Sequence[Loc]) -> bool:
    return any(loc[: len(spot)] == spot for spot in spots)


def dotted(loc: Loc) -> str:
    """Write a path as users do: ``pairs[0].recipe.epochs``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.lstrip(".") or "top level"
