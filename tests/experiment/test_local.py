"""Runs as processes of this machine: who starts ranks, how cores are shared, and that nothing is left behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.config.site import Site
from kbench.errors import ConfigError, LaunchError
from kbench.experiment.local import Children
from kbench.experiment.order import Order
from kbench.experiment.plan import cores, find_mpirun, resolved
from kbench.records.folders import RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Job
from kbench.records.run_state import State

NO_MPI = "mpirun-that-is-nowhere"
# A job that is done at once, unless more than two are at work; it leaves the cores that it may use.
QUICK = """\
folder={{ run_dir | sh }}; shared="$folder/../shared"; mkdir -p "$shared"
mine=none
for place in 1 2; do mkdir "$shared/$place" 2>/dev/null && mine=$place && break; done
[ "$mine" != none ] || touch "$shared/too-many"
grep Cpus_allowed_list /proc/self/status | cut -f 2 > "$folder/cores"
for _ in 1 2 3 4 5 6 7 8; do bash -c :; done
[ "$mine" = none ] || rmdir "$shared/$mine"
echo '{"schema_version": 2, "attempt": 1, "ended_at": "2026-01-02T00:00:00Z", "phases": []}' > "$folder/done.json"
"""
# A job whose own children do not listen to SIGTERM.
STUBBORN = """\
(trap '' TERM; exec tail -f {{ run_dir | sh }}/stdout.log) &
touch {{ run_dir | sh }}/up
wait
"""

Stand = Callable[[int], list[RunDir]]


@pytest.fixture
def stand(tmp_path: Path, run_spec: RunSpec) -> Stand:
    """Make the folders of n runs that differ in their seed."""

    def make(n: int) -> list[RunDir]:
        specs = [run_spec.model_copy(update={"seed": seed}) for seed in range(n)]
        runs = [RunDir(tmp_path / "runs" / spec.run_id) for spec in specs]
        for run, spec in zip(runs, specs, strict=True):
            run.prepare(spec)
        return runs

    return make


def children(runs: list[RunDir], template: str, folder: Path, *, max_parallel: int) -> Children:
    """Children that run ``template`` in place of a training."""
    path = folder / "job-template.sh"
    path.write_text(template)
    site = resolved(Site(launcher="local", template=str(path)), launcher="auto", max_parallel=max_parallel)
    return Children(site, max_parallel=max_parallel)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait for a condition; returns whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("site", "asked", "chosen"),
    [
        (Site(), "auto", "local"),
        (Site(ranks_per_node=2), "auto", "mpirun"),
        (Site(ranks_per_node=2, mpirun=NO_MPI), "auto", "local"),
        (Site(launcher="mpirun"), "auto", "mpirun"),
        (Site(launcher="local", ranks_per_node=2), "auto", "local"),
        (Site(launcher="mpirun", ranks_per_node=2), "local", "local"),
        (Site(launcher="local"), "mpirun", "mpirun"),
    ],
    ids=[
        "one rank needs no mpirun",
        "several ranks use the mpirun that is there",
        "several ranks do without one that is not",
        "the site decides for mpirun",
        "the site decides for local",
        "the flag overrules the site for local",
        "the flag overrules the site for mpirun",
    ],
)
def test_the_launcher_is_chosen(site: Site, asked: str, chosen: str) -> None:
    assert resolved(site, launcher=asked, max_parallel=1).launcher == chosen


@pytest.mark.parametrize("site", [Site(mpirun=NO_MPI), Site(mpirun=NO_MPI, launcher="mpirun")])
def test_asking_for_an_mpirun_that_is_not_there_is_a_launch_error(site: Site) -> None:
    asked = "mpirun" if site.launcher == "auto" else "auto"
    with pytest.raises(LaunchError, match=f"'{NO_MPI}' is not there"):
        resolved(site, launcher=asked, max_parallel=1)


def test_several_nodes_are_nothing_for_the_local_launcher() -> None:
    with pytest.raises(ConfigError, match="the local launcher knows one node, got 2"):
        resolved(Site(nodes=2), launcher="local", max_parallel=1)


def test_several_nodes_are_not_silently_put_on_one_where_mpirun_is_missing() -> None:
    with pytest.raises(ConfigError, match="the local launcher knows one node, got 2"):
        resolved(Site(nodes=2, mpirun=NO_MPI), launcher="auto", max_parallel=1)


def test_the_mpirun_beside_our_python_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_mpirun("mpirun") == str(Path(sys.executable).parent / "mpirun")


def test_an_mpirun_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mpirun"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_mpirun("mpirun") == str(mine)


@pytest.mark.parametrize(("ranks", "max_parallel"), [(1, 1), (2, 1), (1, 2), (2, 2), (1, 1000)])
def test_ranks_and_parallel_runs_divide_the_cores(ranks: int, max_parallel: int) -> None:
    site = resolved(Site(ranks_per_node=ranks), launcher="local", max_parallel=max_parallel)
    assert site.threads_per_rank == max(1, max(1, len(cores()) // max_parallel) // ranks)


def test_a_number_of_threads_that_the_site_gives_stands() -> None:
    site = resolved(Site(threads_per_rank=7), launcher="local", max_parallel=2)
    assert site.threads_per_rank == 7


def test_every_run_is_started_once_and_never_more_than_max_parallel_at_a_time(stand: Stand, tmp_path: Path) -> None:
    runs = stand(6)
    children(runs, QUICK, tmp_path, max_parallel=2).work_through(Order(tuple(runs), {}), [], lambda: None)
    assert [(state_of(run.read()), run.read().job.attempt) for run in runs] == [(State.DONE, 1)] * 6
    assert not (tmp_path / "runs" / "shared" / "too-many").exists()


def test_more_at_a_time_than_allowed_would_be_noticed(stand: Stand, tmp_path: Path) -> None:
    runs = stand(1)
    (tmp_path / "runs" / "shared" / "1").mkdir(parents=True)
    (tmp_path / "runs" / "shared" / "2").mkdir()
    children(runs, QUICK, tmp_path, max_parallel=1).work_through(Order(tuple(runs), {}), [], lambda: None)
    assert (tmp_path / "runs" / "shared" / "too-many").exists()


def test_a_run_alone_gets_every_core(stand: Stand, tmp_path: Path) -> None:
    runs = stand(1)
    children(runs, QUICK, tmp_path, max_parallel=1).work_through(Order(tuple(runs), {}), [], lambda: None)
    assert listed((runs[0].path / "cores").read_text()) == cores()


@pytest.mark.skipif(len(cores()) < 2, reason="one core cannot be divided")
def test_each_of_two_parallel_runs_gets_its_own_half_of_the_cores(stand: Stand, tmp_path: Path) -> None:
    runs = stand(2)
    children(runs, QUICK, tmp_path, max_parallel=2).work_through(Order(tuple(runs), {}), [], lambda: None)
    half = len(cores()) // 2
    parts = [listed((run.path / "cores").read_text()) for run in runs]
    assert parts == [cores()[:half], cores()[half : 2 * half]]


def test_starting_runs_leaves_our_own_cores_as_they_were(stand: Stand, tmp_path: Path) -> None:
    before, runs = cores(), stand(2)
    children(runs, QUICK, tmp_path, max_parallel=2).work_through(Order(tuple(runs), {}), [], lambda: None)
    assert cores() == before


def test_a_run_notes_how_it_was_started(stand: Stand, tmp_path: Path) -> None:
    runs = stand(1)
    children(runs, QUICK, tmp_path, max_parallel=2).work_through(Order(tuple(runs), {}), [], lambda: None)
    told = {key: getattr(runs[0].read().job, key) for key in ("launcher", "attempt", "max_parallel")}
    assert told == {"launcher": "local", "attempt": 1, "max_parallel": 2}


def test_a_second_attempt_is_counted(stand: Stand, tmp_path: Path) -> None:
    runs = stand(1)
    for _ in range(2):
        children(runs, QUICK, tmp_path, max_parallel=1).work_through(Order(tuple(runs), {}), [], lambda: None)
    assert runs[0].read().job.attempt == 2


def test_a_run_that_an_earlier_front_left_alive_keeps_its_place(stand: Stand, tmp_path: Path) -> None:
    adopted, *runs = stand(3)
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", adopted.run_id]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    adopted.begin(Job.of(attempt=1).updated(id=process.pid))
    started_beside: list[bool] = []
    ticks = iter(range(1_000_000))

    def tick() -> None:
        started_beside.append(any(run.read().job for run in runs) and state_of(adopted.read()) is State.RUNNING)
        if next(ticks) == 3:
            process.communicate()

    children(runs, QUICK, tmp_path, max_parallel=1).work_through(Order(tuple(runs), {}), [adopted], tick)
    assert not any(started_beside)
    assert [state_of(run.read()) for run in runs] == [State.DONE, State.DONE]


def test_stopping_leaves_nothing_that_a_run_has_started(
    stand: Stand, tmp_path: Path, processes_of: Callable[[Path], list[int]]
) -> None:
    runs = stand(1)
    ours = children(runs, STUBBORN, tmp_path, max_parallel=1)

    def interrupt_when_up() -> None:
        if (runs[0].path / "up").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.work_through(Order(tuple(runs), {}), [], interrupt_when_up)
    assert processes_of(runs[0].path)
    ours.stop(grace_s=1.0)
    gone = until(lambda: not processes_of(runs[0].path), 5.0)
    for pid in processes_of(runs[0].path):
        os.kill(pid, signal.SIGKILL)
    assert gone
    assert state_of(runs[0].read()) is State.INTERRUPTED


@pytest.fixture(scope="module")
def parallel(small_folder: Path, tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """The results of two runs of the small experiment that shared the machine."""
    folder = tmp_path_factory.mktemp("parallel")
    shutil.copy(small_folder / "small.yaml", folder)
    words = ["run", "small.yaml", "--only", "baseline", "--max-parallel", "2", "--set", "pairs.0.recipe.epochs=1"]
    command = [sys.executable, "-m", "kbench", *words, "--set", "strategies=[baseline]"]
    done = subprocess.run(command, cwd=folder, env=clean_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "results" / "small"


def test_max_parallel_is_recorded_with_each_run(parallel: Path) -> None:
    assert list(pd.read_parquet(parallel / "runs.parquet")["max_parallel"]) == [2, 2]


def test_the_threads_that_parallel_runs_really_had_are_recorded(parallel: Path) -> None:
    threads = list(pd.read_parquet(parallel / "runs.parquet")["threads_per_rank"])
    assert threads == [max(1, len(cores()) // 2)] * 2


def test_max_parallel_is_recorded_in_the_ledger(parallel: Path) -> None:
    assert [entry["max_parallel"] for entry in files.read(parallel / "ledger.jsonl")] == [2]


def test_a_run_whose_job_script_was_killed_is_not_called_done(
    tmp_path: Path, small_folder: Path, clean_env: dict[str, str]
) -> None:
    shutil.copy(small_folder / "small.yaml", tmp_path)
    words = ["run", "small.yaml", "--only", "baseline", "--only", "s0", "--set", "setup=['kill -9 $$']"]
    command = [sys.executable, "-m", "kbench", *words]
    done = subprocess.run(command, cwd=tmp_path, env=clean_env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 5
    assert "interrupted" in done.stdout
    assert "all 1 runs done" not in done.stderr


def listed(text: str) -> list[int]:
    """The cores in a list as the kernel writes it: 0-2,5."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
