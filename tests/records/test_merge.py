"""Results of two machines come together; what has one name and differs is named, and nothing is taken then."""

import os
import shutil
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.records.clean import needless, remove
from kbench.records.folders import ExperimentDir
from kbench.records.merge import compare_folders, merge
from kbench.records.run_state import State


@pytest.fixture
def other(experiment_dir: ExperimentDir, tmp_path: Path, make_run) -> ExperimentDir:
    """The same experiment on another machine: seed 0 is the same, and seed 1 is there only."""
    make_run(seed=0, epochs=1, end="done")
    make_run(seed=1, epochs=1, end="done")
    place = tmp_path / "machine" / experiment_dir.path.name
    shutil.copytree(experiment_dir.path, place)
    shutil.rmtree(next(run.path for run in experiment_dir.all_runs() if ".s1." in run.run_id))
    return ExperimentDir(place)


def seeds(folder: ExperimentDir) -> list[int]:
    return sorted(run.read_spec().seed for run in folder.all_runs())


def test_runs_that_only_the_other_has_are_taken_whole(experiment_dir: ExperimentDir, other: ExperimentDir) -> None:
    new = next(run for run in other.all_runs() if ".s1." in run.run_id)
    new.checkpoint.write_bytes(b"weights")
    found = compare_folders(experiment_dir, other)
    assert (len(found.new), len(found.same), found.conflicts) == (1, 1, ())
    assert seeds(experiment_dir) == [0]  # nothing is written yet
    merge(found)
    assert seeds(experiment_dir) == [0, 1]
    taken = experiment_dir.run(new.run_id)
    assert taken.journal.read_bytes() == new.journal.read_bytes() and not taken.checkpoint.exists()
    again = compare_folders(experiment_dir, other)
    assert (again.new, len(again.same), again.conflicts) == ((), 2, ())


def test_a_run_that_differs_is_named_and_nothing_is_taken(experiment_dir: ExperimentDir, other: ExperimentDir) -> None:
    run = next(run for run in other.all_runs() if ".s0." in run.run_id)
    run.journal.write_text(run.journal.read_text().replace('"epoch":0', '"epoch": 0').replace("0.", "0.1", 1))
    found = compare_folders(experiment_dir, other)
    assert found.conflicts and found.conflicts[0].startswith(f"{run.run_id}: epochs.jsonl differs between ")
    with pytest.raises(ResultsError, match="epochs.jsonl differs"):
        merge(found)
    assert seeds(experiment_dir) == [0]


def test_a_pair_that_means_something_else_is_a_conflict(experiment_dir: ExperimentDir, other: ExperimentDir) -> None:
    run = next(run for run in other.all_runs() if ".s1." in run.run_id)
    spec = run.read_spec()
    recipe = spec.pair.recipe.model_copy(update={"lr": 9.0})
    run.prepare(spec.model_copy(update={"pair": spec.pair.model_copy(update={"recipe": recipe})}))
    (conflict,) = compare_folders(experiment_dir, other).conflicts
    assert "holds another experiment named" in conflict and "lr is" in conflict


def test_a_folder_without_runs_is_none(tmp_path: Path, other: ExperimentDir) -> None:
    with pytest.raises(ResultsError, match="nothing: holds no runs"):
        compare_folders(ExperimentDir(tmp_path / "nothing"), other)


def test_checkpoints_of_done_runs_and_dead_drafts_are_needless(experiment_dir: ExperimentDir, make_run) -> None:
    done, running = make_run(seed=0), make_run(seed=1)
    for run in (done, running):
        run.checkpoint.write_bytes(bytes(10))
        (run.path / f".x.another-host.{run.path.stat().st_ino % 1000}").write_bytes(b"fresh")
    draft = done.path / ".epochs.jsonl.elsewhere.12"
    draft.write_bytes(bytes(3))

    os.utime(draft, (0, 0))
    states = {done.run_id: State.DONE, running.run_id: State.RUNNING}
    found = needless(experiment_dir, lambda run: states[run.run_id])
    assert {(each.path, each.n_bytes) for each in found} == {(done.checkpoint, 10), (draft, 3)}
    assert done.checkpoint.exists()
    remove(found)
    assert not done.checkpoint.exists() and not draft.exists() and running.checkpoint.exists()
