"""What several tests stand on: a command line in a clean room, and one small finished experiment."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice

NOISE = ("KBENCH_RESULTS", "KBENCH_DATA", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "NO_COLOR")
STARTERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "OMPI_", "PMI_", "SLURM_")

Kbench = Callable[..., subprocess.CompletedProcess[str]]

SMALL = """\
name: small
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 3, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}
strategies:
  - baseline
  - random: {fraction: 0.3}
  - kakurenbo: {fraction: 0.3, milestones: [2], shares: [1.0, 0.5]}
seeds: [0, 1]
targets: [0.5, 1.0]
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Several tests may share the cores; threads that wait for one another would crawl."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Where a script started us in the background, SIGINT is ignored, and by all that we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def clean_env() -> dict[str, str]:
    """The environment of a newcomer: nothing of kbench, of colours or of ranks is set."""
    return {k: v for k, v in os.environ.items() if k not in NOISE and not k.startswith(STARTERS)}


@pytest.fixture
def kbench(tmp_path: Path, clean_env: dict[str, str]) -> Kbench:
    """Run the command line in an empty folder: ``kbench("run", "small.yaml")``."""

    def call(*words: str, env: dict[str, str] | None = None, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kbench", *words]
        return subprocess.run(
            command, cwd=cwd, env=clean_env | (env or {}), capture_output=True, text=True, timeout=300
        )

    return call


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """A folder in which ``kbench run small.yaml`` has ended: small.yaml and results/small/.  Read only."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL)
    command = [sys.executable, "-m", "kbench", "run", "small.yaml", "--quiet", "--set", "threads_per_rank=1"]
    done = subprocess.run(command, cwd=folder, env=clean_env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def pair() -> Pair:
    """The digits and their network, three epochs."""
    recipe = {"epochs": 3, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
    return Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})


@pytest.fixture
def run_spec(pair: Pair) -> RunSpec:
    """A baseline run of that pair."""
    choice = Choice(label="baseline", name="baseline")
    return RunSpec(experiment="small", pair=pair, strategy=choice, seed=0, ranks=1)


@pytest.fixture(scope="session")
def formats() -> ModuleType:
    """Makers of small data sets in the real formats: tests/formats.py."""
    spec = importlib.util.spec_from_file_location("formats", Path(__file__).with_name("formats.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a command first on the PATH: ``plays("qstat", "echo pbs_version = 23")``."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def make(name: str, body: str) -> Path:
        path = place / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    return make
