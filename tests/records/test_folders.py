"""The folder of a run: who says what last, and what is believed."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbench import files
from kbench.config.run_spec import RunSpec
from kbench.errors import ResultsError
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Done, Failure, Job, Provenance
from kbench.records.run_state import FailureKind


def test_a_spec_is_read_back_as_it_was_written(make_run, run_spec: RunSpec) -> None:
    assert make_run().read_spec() == run_spec
    assert make_run().run_id == run_spec.run_id


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}"])
def test_a_spec_that_cannot_be_read_is_named(text: str | None, make_run) -> None:
    run = make_run()
    (run.path / "spec.json").unlink() if text is None else (run.path / "spec.json").write_text(text)
    with pytest.raises(ResultsError, match="spec.json: is no spec of a run: ") as caught:
        run.read_spec()  # noqa: B018
    assert "\n" not in caught.value.message


MOMENT = datetime(2025, 1, 1, tzinfo=UTC)


def failure(error: str) -> Failure:
    return Failure.of(error, kind=FailureKind.RAISED, attempt=1).updated(ended_at=MOMENT)


def test_the_first_rank_to_fail_is_heard(make_run) -> None:
    run = make_run()
    assert run.fail(failure("first"))
    assert not run.fail(failure("second"))
    assert run.read().failure == failure("first")
    assert sorted(os.listdir(run.path)) == ["failed.json", "spec.json"]


def test_a_run_that_is_done_cannot_fail_any_more(make_run) -> None:
    run = make_run(end="done")
    assert not run.fail(failure("late"))
    assert run.read().done
    assert not run.read().failure


@pytest.mark.parametrize("end", ["done", "failed"])
def test_a_new_attempt_sets_the_end_of_the_last_aside(end: str, make_run) -> None:
    run = make_run(end=end)
    run.begin(Job.of(attempt=2))
    now = run.read()
    assert (now.done, now.failure, now.job) == (None, None, Job.of(attempt=2))


def test_epochs_come_in_their_order(make_run) -> None:
    assert [record.epoch for record in make_run(epochs=3).epochs()] == [0, 1, 2]


def test_a_run_that_wrote_nothing_has_no_epochs(make_run) -> None:
    assert make_run().epochs() == []


def write(run: RunDir, *records) -> None:
    for record in records:
        files.append(run.journal, record.model_dump(mode="json"))


def test_only_the_last_attempt_counts(make_run, make_epoch) -> None:
    run = make_run(epochs=3)
    write(run, make_epoch(0, attempt=2), make_epoch(1, attempt=2))
    assert [(record.attempt, record.epoch) for record in run.epochs()] == [(2, 0), (2, 1)]


def test_an_attempt_that_wrote_no_epoch_yet_does_not_show_those_of_the_one_before(make_run) -> None:
    run = make_run(epochs=2)
    assert [(record.attempt, record.epoch) for record in run.epochs()] == [(1, 0), (1, 1)]
    run.begin(Job.of(attempt=2))
    assert run.epochs() == []


def told(run: RunDir) -> list[tuple[int, str, int]]:
    return [(record.attempt, record.phase, record.epoch) for record in run.epochs()]


@pytest.fixture
def kept(make_run) -> RunDir:
    """A run of three epochs that has a checkpoint, started for the second time."""
    run: RunDir = make_run(epochs=3)
    run.checkpoint.write_bytes(b"the state of the run")
    run.begin(Job.of(attempt=2))
    return run


def test_an_attempt_that_may_go_on_shows_the_epochs_before_it(kept: RunDir) -> None:
    assert told(kept) == [(1, "train", 0), (1, "train", 1), (1, "train", 2)]


def test_an_attempt_that_went_on_counts_after_the_one_before(kept: RunDir, make_epoch) -> None:
    write(kept, make_epoch(3, attempt=2), make_epoch(4, attempt=2))
    assert told(kept) == [*((1, "train", e) for e in range(3)), (2, "train", 3), (2, "train", 4)]


@pytest.mark.parametrize("again", [0, 1, 2])
def test_what_was_lost_with_an_attempt_is_replaced_from_where_the_next_went_on(
    again: int, kept: RunDir, make_epoch
) -> None:
    write(kept, make_epoch(again, attempt=2, val_acc1=0.9))
    assert told(kept) == [*((1, "train", e) for e in range(again)), (2, "train", again)]
    assert kept.epochs()[again].val_acc1 == 0.9


def test_without_a_checkpoint_nothing_of_the_attempt_before_counts(kept: RunDir, make_epoch) -> None:
    write(kept, make_epoch(0, attempt=2))
    kept.checkpoint.unlink()
    assert told(kept) == [(2, "train", 0)]


def test_an_older_attempt_that_still_writes_while_it_dies_does_not_count(kept: RunDir, make_epoch) -> None:
    write(kept, make_epoch(2, attempt=2), make_epoch(3, attempt=1), make_epoch(3, attempt=2))
    assert told(kept) == [(1, "train", 0), (1, "train", 1), (2, "train", 2), (2, "train", 3)]


def test_an_attempt_that_went_on_in_an_earlier_phase_replaces_the_later_one(make_run, make_epoch) -> None:
    run = make_run()
    run.checkpoint.write_bytes(b"the state of the run")
    write(run, make_epoch(0, phase="score"), make_epoch(1, phase="score"), make_epoch(0), make_epoch(1))
    write(run, make_epoch(1, phase="score", attempt=2), make_epoch(0, attempt=2))
    assert told(run) == [(1, "score", 0), (2, "score", 1), (2, "train", 0)]


def test_three_attempts_make_one_run(kept: RunDir, make_epoch) -> None:
    write(kept, make_epoch(2, attempt=2), make_epoch(3, attempt=2))
    kept.begin(Job.of(attempt=3))
    write(kept, make_epoch(3, attempt=3), make_epoch(4, attempt=3))
    assert told(kept) == [(1, "train", 0), (1, "train", 1), (2, "train", 2), (3, "train", 3), (3, "train", 4)]


def test_a_run_knows_how_many_epochs_it_takes_once_it_has_begun(make_run) -> None:
    run = make_run()
    assert run.read().n_epochs is None
    Provenance(epochs=43).write(run.path)
    assert run.read().n_epochs == 43


def test_a_sibling_is_a_run_of_the_same_experiment(make_run) -> None:
    first, second = make_run(seed=0), make_run(seed=1)
    assert first.sibling(second.run_id) == second


def test_a_line_that_is_no_record_is_passed_over(make_run) -> None:
    run = make_run(epochs=2)
    files.append(run.journal, {"epoch": "third"})
    assert [record.epoch for record in run.epochs()] == [0, 1]


def test_an_epoch_written_twice_counts_once(make_run, make_epoch) -> None:
    run = make_run(epochs=2)
    write(run, make_epoch(1, val_acc1=0.9), make_epoch(2))
    assert [record.epoch for record in run.epochs()] == [0, 1, 2]


def test_the_same_epoch_of_two_phases_counts_twice(make_run, make_epoch) -> None:
    run = make_run()
    write(run, make_epoch(0, phase="score"), make_epoch(0, phase="train"))
    assert [(record.phase, record.epoch) for record in run.epochs()] == [("score", 0), ("train", 0)]


def test_an_epoch_survives_the_journal_to_the_last_digit(make_run, make_epoch) -> None:
    run, record = make_run(), make_epoch(0, train_s=0.1 + 0.2, val_acc1=1 / 3)
    write(run, record)
    assert run.epochs() == [record]


def test_runs_come_in_the_order_of_the_experiments_file(experiment_dir: ExperimentDir, make_run, run_spec) -> None:
    for label in ("sb", "baseline", "iswr"):
        make_run(strategy=run_spec.strategy.model_copy(update={"label": label}))
    in_folders = [run.read_spec().strategy.label for run in experiment_dir.all_runs()]
    pair = json.dumps({"model": "m", "dataset": "d", "name": run_spec.pair.name, "recipe": {"epochs": 1}})
    pair = pair.replace('"epochs": 1', '"epochs": 1, "global_batch": 1, "lr": 1')
    experiment_dir.source.write_text(f"name: small\npairs: [{pair}]\nstrategies: [sb, baseline, iswr]\n")
    assert in_folders == ["baseline", "iswr", "sb"]
    assert [run.read_spec().strategy.label for run in experiment_dir.all_runs()] == ["sb", "baseline", "iswr"]


def test_a_folder_without_a_spec_is_no_run(experiment_dir: ExperimentDir, make_run) -> None:
    run = make_run()
    (experiment_dir.path / "runs" / "notes").mkdir()
    assert [found.path for found in experiment_dir.all_runs()] == [run.path]


def test_the_end_of_an_older_attempt_is_no_end_of_this_one(tmp_path: Path, run_spec: RunSpec) -> None:
    run = RunDir(tmp_path / "run")
    run.prepare(run_spec)
    run.begin(Job.of(attempt=2))
    run.finish(Done.of(attempt=1, phases=()))
    assert run.read().done is None
    last = Done.of(attempt=2, phases=())
    run.finish(last)
    assert run.read().done == last
