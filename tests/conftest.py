"""What several tests stand on: a command line in a clean room, one small finished experiment, marks and skips."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.records.disturbance import COLUMNS
from kbench.records.schema import EpochRecord

NOISE = ("KBENCH_RESULTS", "KBENCH_DATA", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "NO_COLOR")
STARTERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "OMPI_", "PMI_", "SLURM_")

# Tests share the cores, and threads that wait for one another in a loop would crawl.  Read when torch is imported.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

Kbench = Callable[..., subprocess.CompletedProcess[str]]
BuildOnce = Callable[[str, Callable[[Path], object]], Path]
# What a seed decides of an epoch; the rest is where, when and how fast.
SEEDED = "phase epoch lr lr_scale ceiling train_loss train_acc val_loss val_acc1 val_acc5".split()
ProcessesOf = Callable[[Path], list[int]]

# What a test that uses one of these fixtures does.
MARK_OF_FIXTURE = {
    "small_folder": "trains",
    "training_of": "trains",
    "new_training_of": "trains",
    "run_of": "trains",
    "folder_of": "trains",
    "crashed": "trains",
    "failed": "trains",
    "interrupted": "trains",
    "detached": "trains",
    "browser": "browser",
    "slurm_daemons": "slurm",
    "thousand": "slurm",
    "sge_daemons": "sge",
    "hosts": "dist",
}
CLUSTERS = ("slurm_daemons", "thousand", "sge_daemons", "hosts")
SLOW = ("trains", "dist", "slurm", "sge", "browser", "latex")

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use; files of clusters run first, as they mostly wait, then slow ones."""
    places: dict[Path, int] = {}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for name in {MARK_OF_FIXTURE[fixture] for fixture in fixtures if fixture in MARK_OF_FIXTURE}:
            item.add_marker(name)
        slow = any(item.get_closest_marker(name) for name in SLOW)
        place = 0 if any(name in fixtures for name in CLUSTERS) else 1 if slow else 2
        places[item.path] = min(places.get(item.path, 2), place)
    items.sort(key=lambda item: places[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything must be there (CI=true) a test that needs something which is not there fails."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("CI") == "true":
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith("needs "):
            report.outcome, report.longrepr = "failed", f"this machine must have all that tests need; this one {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for which reason."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter((report.longrepr[2].removeprefix("Skipped: ") for report in reports))
    if reasons:
        terminalreporter.section("skipped")
    for reason, number in reasons.most_common():
        terminalreporter.line(f"{number:5} {reason}")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Where a script started us in the background, SIGINT is ignored, and by all that we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def numbers() -> Callable[[Iterable[EpochRecord]], list[dict[str, Any]]]:
    """``numbers(records)``: what two trainings of a seed must have in common, to the last bit."""
    names = {name for name in EpochRecord.model_fields if name in SEEDED or name.startswith("n_")}
    return lambda records: [record.model_dump(include=names) for record in records]


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
def processes_of() -> ProcessesOf:
    """``processes_of(folder)``: the living processes that work in a folder or have it in their command lines."""

    def found(folder: Path) -> list[int]:
        pids = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command, place = (process / "cmdline").read_bytes(), (process / "cwd").readlink()
            except OSError:
                continue
            if command and (str(folder).encode() in command or place.is_relative_to(folder)):
                pids.append(int(process.name))
        return [pid for pid in pids if pid != os.getpid()]

    return found


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> BuildOnce:
    """``build_once("small", build)``: a folder that ``build(folder)`` fills once for all processes of this session."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def build_or_wait(name: str, build: Callable[[Path], object]) -> Path:
        folder, built = shared / name, shared / f"{name}.built"
        with FileLock(shared / f"{name}.lock"):
            if not built.exists():
                folder.mkdir()
                build(folder)
                built.touch()
        return folder

    return build_or_wait


def quieten(results: Path) -> None:
    """Forget what disturbed the runs below ``results``: whatever else this machine did must not decide about tests."""
    fields = EpochRecord.model_fields
    unknown = {name for name in COLUMNS if not fields[name].is_required() and fields[name].default is None}
    for journal in results.glob("runs/*/epochs.jsonl"):
        epochs = [json.loads(line) for line in journal.read_text().splitlines()]
        lines = [json.dumps(epoch | dict.fromkeys(epoch.keys() & unknown)) for epoch in epochs]
        journal.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="session")
def small_folder(build_once: BuildOnce, clean_env: dict[str, str]) -> Path:
    """A folder in which ``kbench run small.yaml`` has ended: small.yaml and results/small/.  Read only."""

    def run(folder: Path) -> None:
        (folder / "small.yaml").write_text(SMALL)
        command = [sys.executable, "-m", "kbench"]
        words = ["run", "small.yaml", "--quiet", "--set", "threads_per_rank=1"]
        done = subprocess.run(
            [*command, *words], cwd=folder, env=clean_env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        quieten(folder / "results" / "small")
        subprocess.run([*command, "gather", "small"], cwd=folder, env=clean_env, check=True, timeout=600)

    return build_once("small", run)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait until something is true, with a deadline: ``until(path.exists)``."""

    def wait(condition: Callable[[], object], *, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"still not true after {seconds:g} s"
            time.sleep(0.05)

    return wait


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
    """Put commands on a PATH without schedulers, MPI or drivers: ``plays("qstat", "echo pbs_version = 23")``."""
    place = tmp_path / "bin"
    place.mkdir()
    for program in ("bash", "sleep", "true"):  # that commands that are played may need
        (place / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    monkeypatch.setenv("PATH", str(place))

    def make(name: str, body: str) -> Path:
        path = place / name
        path.unlink(missing_ok=True)  # never write through a link to a real program
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    return make
