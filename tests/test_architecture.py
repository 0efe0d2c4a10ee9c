"""Which way imports point: the table of the architecture, held against the source."""

import ast
import configparser
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import kbench

PACKAGE = Path(kbench.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
EVERYTHING = (
    "api experiment exporters doctor html_report verify conformance importers papers figures analysis worker engine "
    "strategies tasks models data launch records files config errors"
)

MAY_IMPORT = {  # of kbench, besides itself and kbench's own name
    "__init__": "api",
    "__main__": "cli.app",
    "errors": "",
    "files": "errors",
    "config": "errors",
    "records": "config files errors",
    "launch": "records config files errors",
    "strategies": "config errors",
    "models": "config errors",
    "data": "config files errors",
    "tasks": "models data config errors",
    "engine": "strategies.api tasks records config files errors",
    "worker": "engine strategies tasks data launch records config files errors",
    "verify": "engine strategies.api tasks models data config errors",
    "conformance": "worker engine strategies tasks models data records config errors",
    "analysis": "strategies records config errors",
    "papers": "analysis records config errors",
    "importers": "papers records config files errors",
    "exporters": "records config files errors",
    "figures": "analysis records files errors",
    "html_report": "figures analysis records config errors",
    "experiment": "launch strategies models data records config files errors",
    "doctor": "experiment launch data records config errors",
    "api": EVERYTHING,
    "cli": EVERYTHING,
}
AT_HOME_IN = {  # rooms that may import what is heavy or particular
    "torch": "strategies data models tasks engine worker conformance verify doctor",
    "torch.distributed": "engine",
    "matplotlib": "figures",
    "pandas": "analysis papers figures api",
    "scipy": "analysis data verify",
    "pyarrow": "records exporters strategies data",
    "mpi4py": "engine.runtime",
    "tensorboardX": "importers",
    "typer": "cli",
    "rich": "cli",
}
# What --help needs besides the command line itself: the names in registries, which import nothing.
AT_START = (
    "typer kbench.cli kbench.errors kbench.analysis.tables.registry kbench.exporters.registry kbench.figures.registry "
    "kbench.importers.registry"
)
INSIDE_FUNCTIONS = ("pyarrow", "tensorboardX", "mpi4py", "rich", "timm", "sklearn", "h5py")


class Import(NamedTuple):
    line: int
    name: str
    at_start: bool  # when the module is imported, not only when a function is called


def imports(tree: ast.AST, *, at_start: bool = True) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports are absolute"
            for alias in node.names:
                yield Import(node.lineno, _module(node.module, alias.name), at_start)
        lazily = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        yield from imports(node, at_start=at_start and not lazily)


def _module(package: str, name: str) -> str:
    path = PACKAGE.parent.joinpath(*package.split("."), name)
    is_module = package.startswith("kbench") and (path.with_suffix(".py").exists() or path.is_dir())
    return f"{package}.{name}" if is_module else package


def within(name: str, rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms.split())


def violations(place: str, source: str) -> list[str]:
    """What a file of kbench imports against the table; ``place`` is its path in the package."""
    room = place.split("/")[0].removesuffix(".py")
    found = []
    for line, name, at_start in imports(ast.parse(source)):
        said = f"{place}:{line} imports {name}: "
        ours = name.removeprefix("kbench").lstrip(".")
        if name.startswith("kbench.") and not within(ours, f"{room} {MAY_IMPORT[room]}"):
            found.append(f"{said}{room} may import {MAY_IMPORT[room] or 'nothing of kbench'}")
        homes = next((AT_HOME_IN[top] for top in sorted(AT_HOME_IN, reverse=True) if within(name, top)), None)
        if homes is not None and not within(place.removesuffix(".py").replace("/", "."), homes):
            found.append(f"{said}only {homes} may")
        if at_start and within(name, " ".join(INSIDE_FUNCTIONS)):
            found.append(f"{said}only inside functions")
    return found


@pytest.mark.parametrize("place", FILES)
def test_imports_point_downwards(place: str) -> None:
    assert violations(place, FILES[place].read_text()) == []


def test_text_is_read_and_written_in_a_named_encoding_whatever_the_locale() -> None:
    nameless = []
    for place, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            mode = getattr(node.args[0], "value", None) if node.args else "r"
            is_text = node.func.attr in ("read_text", "write_text")
            is_text |= node.func.attr == "open" and mode in ("r", "w", "a", "x") and "tarfile" not in ast.unparse(node)
            if is_text and "encoding" not in [word.arg for word in node.keywords]:
                nameless.append(f"{place}:{node.lineno}: {ast.unparse(node)}")
    assert nameless == []


def test_every_folder_of_the_package_is_installed() -> None:
    said = configparser.ConfigParser()
    said.read(PACKAGE.parent / "setup.cfg")
    folders = {".".join(["kbench", *Path(place).parent.parts]) for place in FILES}
    outside = {"kbench.configs", "kbench.configs.sites", "kbench.jobs"}  # that stand at the top of the checkout
    assert set(said["options"]["packages"].split()) == folders | outside


def test_before_a_command_runs_only_typer_and_the_command_line_are_imported() -> None:
    waiting, seen = ["cli/app.py"], set()
    while waiting:
        place = waiting.pop()
        seen.add(place)
        names = {found.name for found in imports(ast.parse(FILES[place].read_text())) if found.at_start}
        theirs = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
        assert all(within(name, AT_START) or name == "kbench" for name in theirs), place
        ours = {name.removeprefix("kbench.").replace(".", "/") + ".py" for name in theirs}
        waiting += sorted((ours & FILES.keys()) - seen)
    assert len(seen) > 5


@pytest.mark.parametrize(
    "place, source, message",
    [
        (
            "engine/loop.py",
            "\nfrom kbench.strategies import sb",
            "engine/loop.py:2 imports kbench.strategies.sb: engine",
        ),
        (
            "engine/loop.py",
            "import kbench.experiment.local",
            "engine/loop.py:1 imports kbench.experiment.local: engine may",
        ),
        ("strategies/sb.py", "import torch.distributed as d", "imports torch.distributed: only engine may"),
        ("config/run_spec.py", "def f():\n    import torch", "config/run_spec.py:2 imports torch: only strategies"),
        ("cli/run.py", "import pandas", "cli/run.py:1 imports pandas: only analysis papers figures api may"),
        ("records/store.py", "import pyarrow.parquet", "imports pyarrow.parquet: only inside functions"),
        ("records/store.py", "def f():\n    import pyarrow", None),
        (
            "errors.py",
            "from kbench.config import run_spec",
            "imports kbench.config.run_spec: errors may import nothing of kbench",
        ),
        ("worker.py", "from kbench.cli.app import main", "worker.py:1 imports kbench.cli.app: worker may import"),
    ],
)
def test_a_planted_import_is_found(place: str, source: str, message: str | None) -> None:
    found = violations(place, source)
    assert len(found) == (message is not None)
    assert message is None or message in found[0]
