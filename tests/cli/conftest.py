"""The command line in this process (quick) and experiments to give it."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from kbench.cli.app import main

NOISE = ("KBENCH_RESULTS", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "NO_COLOR")


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Here = Callable[..., Said]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Call the command line in this process: ``here("status", "small", cwd=folder)``."""

    def call(*words: str, cwd: Path) -> Said:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["kbench", *words])
        for name in NOISE:
            monkeypatch.delenv(name, raising=False)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return call


@pytest.fixture
def folder(small_folder: Path, tmp_path: Path) -> Path:
    """A copy of the finished experiment, to do with as one likes."""
    return Path(shutil.copytree(small_folder, tmp_path / "copy"))


@pytest.fixture
def fingerprint() -> Callable[[Path], dict[str, str]]:
    """Every file below a folder with the hash of what is in it."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of


@pytest.fixture(scope="session")
def lasting() -> Callable[[str, int], str]:
    """The text of an experiment of two seeds and short epochs, a tenth of the data: ``lasting(name, epochs)``."""

    def text(name: str, epochs: int) -> str:
        recipe = f"{{epochs: {epochs}, global_batch: 48, lr: 0.05}}"
        pair = f"{{model: digits-cnn, dataset: digits, recipe: {recipe}}}"
        strategy = "{random: {fraction: 0.9}, label: baseline}"
        return f"name: {name}\npairs: [{pair}]\nstrategies: [{strategy}]\nseeds: [0, 1]\n"

    return text
