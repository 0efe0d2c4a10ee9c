"""Code of one's own that an experiment names as ``package.module:Name``: found, loaded, and told apart by a digest."""

import ast
import hashlib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kbench.errors import ConfigError

NOT_MODULES = ("timm", "torchvision", "folder", "shards", "npz", "parquet", "hf")  # prefixes that mean something else
MODELS, DATASETS, STRATEGIES = "kbench.models", "kbench.datasets", "kbench.strategies"  # groups of entry points
INSTALLED = ("site-packages", "dist-packages")


def is_reference(name: object) -> bool:
    """Whether a name is written as ``package.module:Name``."""
    if not isinstance(name, str) or name.partition(":")[0] in NOT_MODULES:
        return False
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", name) is not None


@cache  # to look through all installed packages takes tens of milliseconds
def installed(group: str) -> dict[str, str]:
    """The ``module:Name`` of each entry point that installed packages declare in a group, by its name."""
    return {entry.name: entry.value for entry in entry_points(group=group)}


def target_of(name: object, group: str) -> str | None:
    """The ``module:Name`` behind a name that is no built-in one: itself, or an entry point's; None where it is none."""
    if not isinstance(name, str):
        return None
    return name if is_reference(name) else installed(group).get(name)


def is_there(target: str) -> bool:
    """Whether the module that ``module:Name`` begins with is found; another prefix may have been meant where not."""
    _search_working_folder()
    try:
        return find_spec(target.partition(":")[0].split(".")[0]) is not None
    except ValueError:  # a module that was not made from a file
        return True


def load(target: str, what: str) -> Any:
    """Load what ``module:Name`` names; the working folder is searched as well.

    Args:
        target: Where it is.
        what: What it is to be, for errors: "model".

    Raises:
        ConfigError: There is no such module or name, or the module raises when it is imported.
    """
    module, _, attribute = target.partition(":")
    _search_working_folder()
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        hint = f"start kbench in the folder of {module.split('.')[0]}, or put that folder on PYTHONPATH"
        raise ConfigError(f"{what} {target!r} cannot be loaded: {error}", hint=hint) from error
    except Exception as error:  # a module of somebody's may raise anything while it is imported
        why = str(error) if isinstance(error, AttributeError | ImportError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{what} {target!r} cannot be loaded: {why}") from error


def instance(target: str, what: str, *arguments: object) -> Any:
    """Load what ``module:Name`` names; a class is called with ``arguments``, and what it makes is returned.

    Raises:
        ConfigError: It cannot be loaded, or not be made.
    """
    found = load(target, what)
    if not isinstance(found, type):
        return found
    try:
        return found(*arguments)
    except Exception as error:
        raise ConfigError(f"{what} {target!r} cannot be made: {type(error).__name__}: {error}") from error


def digest(target: str) -> str:
    """Twelve hex digits of the source behind ``module:Name``: its file and all beside it that it imports, in turn.

    Of an installed package it is the file of the module alone: environment.json has the versions of packages.

    Raises:
        ConfigError: There is no such module.
    """
    total = hashlib.blake2b(digest_size=6)
    for name, path in sorted(_files(target.partition(":")[0]).items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def _files(module: str) -> dict[str, Path]:
    """The files that a module is made of, by the names of their modules."""
    _search_working_folder()
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(f"{module}: no source file of such a module is found", hint="only Python files are judged")
    origin = Path(spec.origin)
    if set(INSTALLED) & set(origin.parts):
        return {module: origin}
    root = origin.parents[module.count(".") + (origin.name == "__init__.py")]
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = next((p for p in _candidates(root, name) if p.is_file()), None)
        if path is not None and name not in found and name.split(".")[0] != "kbench":
            found[name] = path
            waiting += _imported(name, path)
    return found


def _candidates(root: Path, module: str) -> list[Path]:
    base = root.joinpath(*module.split("."))
    return [base / "__init__.py", base.with_name(f"{base.name}.py")]


def _imported(module: str, path: Path) -> Iterator[str]:
    """The modules that a file may import, and their packages; what is none of them is harmless."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _search_working_folder() -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as python -m does, and so every rank; an installed script does not
        importlib.invalidate_caches()
