"""One process starts the runs of an experiment; it draws their order and writes it down."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kbench import files
from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.errors import LaunchError
from kbench.experiment.ledger import driver_lock, driver_of
from kbench.experiment.order import draw_order
from kbench.experiment.status import StatusMonitor
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Done, Failure
from kbench.records.run_state import FailureKind, State

HERE = socket.gethostname()
# Goes in and out of the folder many times; whoever finds somebody else inside says so.
CONTENDER = """
import os, sys
from pathlib import Path
from kbench.errors import LaunchError
from kbench.experiment.ledger import driver_lock
from kbench.records.folders import ExperimentDir

folder = ExperimentDir(Path(sys.argv[1]))
inside, held = folder.path / "inside", 0
print("ready", flush=True)
sys.stdin.readline()
while held < 300:
    try:
        with driver_lock(folder):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            inside.unlink()
            held += 1
    except LaunchError:
        continue
"""


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentDir:
    """The folder of an experiment in which nothing has happened."""
    folder = ExperimentDir(tmp_path / "small")
    folder.path.mkdir()
    return folder


@pytest.fixture
def runs(experiment: ExperimentDir, pair: Pair) -> list[RunDir]:
    """Three strategies on three seeds, never started."""
    specs = [
        RunSpec(experiment="small", pair=pair, strategy=Choice(label=name, name=name), seed=seed, ranks=1)
        for name in ("baseline", "random", "sb")
        for seed in range(3)
    ]
    folders = [experiment.run(spec.run_id) for spec in specs]
    for folder, spec in zip(folders, specs, strict=True):
        folder.prepare(spec)
    return folders


@pytest.fixture
def living() -> Iterator[int]:
    """The id of a process whose command line looks like ours."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "kbench", "run"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.communicate()


def note_front(experiment: ExperimentDir, pid: int, host: str = HERE) -> None:
    files.write_json(experiment.driver, {"id": pid, "host": host, "started_at": "2026-01-02T03:04:05.678+00:00"})


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_while_it_is_there_its_folder_names_it_and_afterwards_nobody(experiment: ExperimentDir) -> None:
    with driver_lock(experiment):
        facts = json.loads(experiment.driver.read_text())
    assert facts["host"] == HERE
    assert not experiment.driver.exists()


def test_it_leaves_the_folder_free_when_it_ends_badly(experiment: ExperimentDir) -> None:
    with pytest.raises(KeyboardInterrupt), driver_lock(experiment):
        raise KeyboardInterrupt
    assert not experiment.driver.exists()


def test_a_second_one_is_sent_away_while_the_first_lives(experiment: ExperimentDir, living: int) -> None:
    note_front(experiment, living)
    sentence = f"kbench run is at work here already .process {living} on {HERE}, since 2026-01-02T03:04:05"
    with pytest.raises(LaunchError, match=sentence), driver_lock(experiment):
        pass


def test_one_that_is_sent_away_leaves_the_first_its_place(experiment: ExperimentDir, living: int) -> None:
    note_front(experiment, living)
    with pytest.raises(LaunchError), driver_lock(experiment):
        pass
    driver = driver_of(experiment)
    assert driver and driver.id == living


def test_one_on_another_host_is_believed_to_live(experiment: ExperimentDir) -> None:
    note_front(experiment, dead_pid(), host="elsewhere")
    with pytest.raises(LaunchError, match="on elsewhere") as caught, driver_lock(experiment):
        pass
    assert str(experiment.driver) in caught.value.hint


def test_what_a_dead_one_left_behind_is_replaced(experiment: ExperimentDir) -> None:
    old = dead_pid()
    note_front(experiment, old)
    with driver_lock(experiment):
        assert json.loads(experiment.driver.read_text())["id"] != old


def test_a_recycled_process_id_does_not_keep_the_folder(experiment: ExperimentDir) -> None:
    process = subprocess.Popen(["sleep", "600"])
    note_front(experiment, process.pid)
    try:
        with driver_lock(experiment):
            assert json.loads(experiment.driver.read_text())["id"] != process.pid
    finally:
        process.kill()
        process.wait()


def test_a_torn_front_file_does_not_keep_the_folder(experiment: ExperimentDir) -> None:
    experiment.driver.write_text('{"id": 1')
    with driver_lock(experiment):
        assert json.loads(experiment.driver.read_text())["host"] == HERE


def test_of_several_that_come_at_once_only_one_is_inside(experiment: ExperimentDir) -> None:
    command = [sys.executable, "-c", CONTENDER, str(experiment.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    contenders = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    for contender in contenders:
        assert contender.stdout is not None
        contender.stdout.readline()
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    complaints = [contender.communicate(timeout=120)[1] for contender in contenders]
    assert complaints == ["", "", ""]


def test_every_run_is_in_the_order_once(experiment: ExperimentDir, runs: list[RunDir]) -> None:
    order = draw_order(runs, experiment, max_parallel=1).runs
    assert sorted(run.run_id for run in order) == sorted(run.run_id for run in runs)


def test_the_runs_of_a_seed_stay_together(experiment: ExperimentDir, runs: list[RunDir]) -> None:
    seeds = [run.read_spec().seed for run in draw_order(runs, experiment, max_parallel=1).runs]
    assert seeds[0:3] == [seeds[0]] * 3
    assert seeds[3:6] == [seeds[3]] * 3
    assert seeds[6:9] == [seeds[6]] * 3


def test_the_order_of_seeds_and_that_of_strategies_are_drawn_anew(
    experiment: ExperimentDir, runs: list[RunDir]
) -> None:
    orders = [draw_order(runs, experiment, max_parallel=1).runs for _ in range(30)]
    assert len({tuple(run.read_spec().seed for run in order) for order in orders}) > 1
    first_blocks = {tuple(run.read_spec().strategy.label for run in order[:3]) for order in orders}
    assert len(first_blocks) > 1


def test_the_order_is_recorded_in_the_ledger(experiment: ExperimentDir, runs: list[RunDir]) -> None:
    orders = [draw_order(runs, experiment, max_parallel=n).runs for n in (1, 2)]
    entries = list(files.read(experiment.ledger))
    assert [entry["order"] for entry in entries] == [[run.run_id for run in order] for order in orders]
    assert [(entry["event"], entry["max_parallel"]) for entry in entries] == [("order", 1), ("order", 2)]


def test_a_run_in_the_queue_of_a_living_one_waits(experiment: ExperimentDir, runs: list[RunDir], living: int) -> None:
    note_front(experiment, living)
    draw_order(runs[:2], experiment, max_parallel=1).runs
    assert [one.state for one in StatusMonitor(experiment).statuses(runs[:3])] == [
        State.WAITING,
        State.WAITING,
        State.MISSING,
    ]


def test_nothing_waits_when_who_would_start_it_is_dead(experiment: ExperimentDir, runs: list[RunDir]) -> None:
    note_front(experiment, dead_pid())
    draw_order(runs[:1], experiment, max_parallel=1).runs
    assert [one.state for one in StatusMonitor(experiment).statuses(runs[:1])] == [State.MISSING]


def test_what_has_ended_does_not_wait(experiment: ExperimentDir, runs: list[RunDir], living: int) -> None:
    note_front(experiment, living)
    draw_order(runs[:2], experiment, max_parallel=1).runs
    runs[0].finish(Done.of(attempt=1, phases=()))
    runs[1].fail(Failure.of("no more", kind=FailureKind.RAISED, attempt=1))
    assert [one.state for one in StatusMonitor(experiment).statuses(runs[:2])] == [State.DONE, State.FAILED]


def test_a_second_kbench_run_is_refused_with_exit_code_3(
    experiment: ExperimentDir, runs: list[RunDir], living: int, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    note_front(experiment, living)
    (tmp_path / "small.yaml").write_text("""\
name: small
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 3, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}
strategies: [baseline]
seeds: [3]
""")
    command = [sys.executable, "-m", "kbench", "run", "small.yaml", "--results", "."]
    done = subprocess.run(command, cwd=tmp_path, env=clean_env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    assert "kbench run is at work here already" in done.stderr
