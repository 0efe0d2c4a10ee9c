"""A YAML document that remembers where each of its keys stands."""

import copy
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kbench.errors import ConfigError

Loc = tuple[str | int, ...]
ITEM = re.compile("[0-9]{1,9}")  # number of an item of a list, in a dotted path


MAX_BYTES = 256 * 1024  # of a document; the largest experiments that were written have 6 kB
MAX_DEPTH = 30  # mappings and lists inside one another
MAX_NODES = 20_000  # values of a document, those that aliases repeat counted each time
MAX_DIGITS = 100  # of a number as it is written
INT64 = range(-(2**63), 2**63)  # what the tables of results can hold
PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "merge")}


class _Loader(yaml.SafeLoader):
    """YAML of plain values alone: no tags, no dates, and limits on depth and on what aliases repeat.

    1e-3 is a number, as its writer meant.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._n_nodes = 0
        self._sizes: dict[int, int] = {}  # of what has an anchor, by the node's id: how many values it stands for
        self._open: set[str | None] = set()  # anchors whose value has not ended

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Read one value with all that it holds; raises MarkedYAMLError where it is more than a plain value."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor, before = getattr(event, "anchor", None), self._n_nodes
        if isinstance(event, AliasEvent):
            self._n_nodes += self._sizes.get(id(self.anchors.get(anchor)), 1)
            if anchor in self._open:
                raise _wrong("an alias stands inside of what it names", event.start_mark)
        else:
            self._n_nodes += 1
            if event.tag is not None:
                tag = event.tag.replace("tag:yaml.org,2002:", "!!")
                raise _wrong(f"the tag {tag} is not known here; write the plain value", event.start_mark)
        if self._n_nodes > MAX_NODES:
            raise _wrong(f"it has more than {MAX_NODES} values, those of aliases included", event.start_mark)
        if self._depth == MAX_DEPTH:
            raise _wrong(f"it is more than {MAX_DEPTH} levels deep", event.start_mark)
        self._depth += 1
        if not isinstance(event, AliasEvent):
            self._open.add(anchor)
        node: Node | None = super().compose_node(parent, index)
        if not isinstance(event, AliasEvent):
            self._open.discard(anchor)
            self._sizes[id(node)] = self._n_nodes - before
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        """Read one plain value; raises MarkedYAMLError for text that no file or terminal can hold."""
        node: ScalarNode = super().compose_scalar_node(anchor)
        odd = next((c for c in node.value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"), "")
        if odd:
            raise _wrong(f"holds the character {odd!a}, which is no text", node.start_mark)
        if node.tag in NUMBERS and len(node.value) > MAX_DIGITS:
            raise _wrong(f"is a number of {len(node.value)} characters", node.start_mark)
        return node

    def construct_yaml_int(self, node: ScalarNode) -> int:
        """Read an integer; raises MarkedYAMLError for one without digits, or beyond 64 bits."""
        try:
            value: int = super().construct_yaml_int(node)
        except ValueError:
            raise _wrong(f"{node.value!r} is no number", node.start_mark) from None
        if value not in INT64:
            raise _wrong(f"the number {node.value} does not fit 64 bits", node.start_mark)
        return value


def _wrong(text: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
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
            path = [int(part) if ITEM.fullmatch(part) else part for part in key.split(".")]
            value = read_text(text, f"--set {key}").tree
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
    """Read a YAML file; raises ConfigError when it is missing, no YAML of plain values, too large, or repeats a key."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # of a file that never ends, too
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1024} KiB, more than any experiment or site")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file in UTF-8") from error
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Source:
    """Read YAML of plain values; ``name`` is its place in errors.  Raises ConfigError as ``read_source`` does."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{name}: is longer than {MAX_BYTES // 1024} KiB")
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        walk = list(_walk(node, ())) if node else []
        tree = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not valid YAML: {str(error).splitlines()[0]}") from error
    except (ValueError, OverflowError) as error:  # the scanner's
        line = f":{loader.line + 1}" if loader else ""
        raise ConfigError(f"{name}{line}: is not valid YAML: an escape that names no character ({error})") from error
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
            if not isinstance(key, ScalarNode):
                raise _wrong("found unhashable key", key.start_mark)
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
