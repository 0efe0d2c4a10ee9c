"""Nothing is silent: a run whose records do not add up is damaged, is named, is in no table, and stops no other."""

import json
from pathlib import Path

import duckdb
import pytest

from kbench.errors import ResultsError
from kbench.records import journal
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.journal import PhaseLength
from kbench.records.liveness import state_of
from kbench.records.run_files import Done, Failure, Job, Provenance
from kbench.records.run_state import FailureKind, State
from kbench.records.store import gather

RETRY = "; kbench run --retry trains the run again"


def lines(run: RunDir) -> list[str]:
    return run.journal.read_text().splitlines(keepends=True)


def seen(run: RunDir) -> tuple[State, str]:
    snapshot = run.read()
    return state_of(snapshot), snapshot.trouble.removesuffix(RETRY)


@pytest.fixture
def done(make_run) -> RunDir:
    """A run of four epochs that is done."""
    run: RunDir = make_run(epochs=4, end="done")
    assert seen(run) == (State.DONE, "")
    return run


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_that_is_missing_is_named(gone: int, done: RunDir) -> None:
    there = lines(done)
    done.journal.write_text("".join(there[:gone] + there[gone + 1 :]))
    where = f"epochs.jsonl: line {gone + 1} holds epoch {gone + 1} of phase train, "
    assert seen(done) == (State.DAMAGED, f"{where}but epoch {gone} of phase train is missing")


def test_a_last_line_that_is_missing_is_named(done: RunDir) -> None:
    done.journal.write_text("".join(lines(done)[:-1]))
    assert seen(done) == (State.DAMAGED, "epochs.jsonl: it holds 3 of the 4 epochs that the run set out to train")


def test_a_journal_that_is_gone_is_named(done: RunDir) -> None:
    done.journal.unlink()
    assert seen(done) == (State.DAMAGED, "epochs.jsonl: it holds 0 of the 4 epochs that the run set out to train")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x", "expected value at line 1 column 1"),
        ("[]", "holds no JSON object"),
        ("{}", "attempt: field required"),
        ('{"schema_version": 9}', "a newer kbench wrote it (schema 9, this one knows 6)"),
        ('{"schema_version": "2"}', "schema_version is '2'"),
        ("[" * 100_000, "recursion limit exceeded"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_line_that_is_no_record_is_named(line: str, problem: str, place: int, done: RunDir) -> None:
    there = lines(done)
    done.journal.write_text("".join([*there[:place], f"{line}\n", *there[place:]]))
    state, trouble = seen(done)
    assert state is State.DAMAGED
    assert trouble.lower().startswith(f"epochs.jsonl: line {place + 1} is no record of an epoch: {problem}".lower())


def test_a_value_of_another_type_is_named_with_its_column(done: RunDir) -> None:
    there = lines(done)
    done.journal.write_text(
        "".join([there[0], json.dumps(json.loads(there[1]) | {"val_acc1": "high"}) + "\n", *there[2:]])
    )
    state, trouble = seen(done)
    assert state is State.DAMAGED
    assert "line 2 is no record of an epoch: val_acc1: input should be a valid number" in trouble


def test_more_epochs_than_the_run_set_out_to_train_are_named(done: RunDir, make_epoch) -> None:
    journal.append(done.journal, make_epoch(4))
    assert seen(done)[0] is State.DAMAGED


def test_an_epoch_of_one_of_two_phases_that_is_missing_is_named(make_run, make_epoch) -> None:
    run = make_run()
    places = [("score", 0), ("score", 1), ("train", 0), ("train", 1)]
    for phase, epoch in places:
        journal.append(run.journal, make_epoch(epoch, phase=phase))
    phases = [PhaseLength(name="score", epochs=2), PhaseLength(name="train", epochs=2)]
    run.begin(Job.of(attempt=1))
    run.finish(Done.of(attempt=1, phases=phases))
    assert seen(run) == (State.DONE, "")
    there = lines(run)
    run.journal.write_text("".join([there[0], *there[2:]]))
    where = "epochs.jsonl: line 2 holds epoch 0 of phase train, "
    assert seen(run) == (State.DAMAGED, f"{where}but epoch 1 of phase score is missing")


def resumed(run: RunDir, make_epoch) -> None:
    """Let a run of four epochs be done in its second attempt, which went on after two."""
    run.begin(Job.of(attempt=2))
    for epoch in (2, 3):
        journal.append(run.journal, make_epoch(epoch, attempt=2))
    run.finish(Done.of(attempt=2, phases=[PhaseLength(name="train", epochs=4)]))


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_what_counts_of_a_run_that_went_on_does_not_hang_on_its_checkpoint(
    has_checkpoint: bool, make_run, make_epoch
) -> None:
    run = make_run(epochs=2)
    run.checkpoint.write_bytes(b"the state of the run")
    resumed(run, make_epoch)
    if not has_checkpoint:
        run.checkpoint.unlink()
    assert [(record.attempt, record.epoch) for record in run.epochs()] == [(1, 0), (1, 1), (2, 2), (2, 3)]
    assert seen(run) == (State.DONE, "")


def test_a_line_that_a_crash_tore_is_no_damage_where_the_next_attempt_repeats_it(make_run, make_epoch) -> None:
    run = make_run(epochs=2)
    with run.journal.open("a") as file:
        file.write('{"attempt": 1, "phase": "tra')
    assert seen(run) == (State.MISSING, "")
    resumed(run, make_epoch)
    assert len(run.journal.read_text().splitlines()) == 5
    assert seen(run) == (State.DONE, "")


def test_a_run_that_missed_its_end_and_only_wrote_it_later_is_whole(make_run) -> None:
    run = make_run(epochs=4)
    run.begin(Job.of(attempt=2))
    run.finish(Done.of(attempt=2, phases=[PhaseLength(name="train", epochs=4)]))
    assert seen(run) == (State.DONE, "") and len(run.epochs()) == 4


def test_an_epoch_that_two_processes_trained_as_one_attempt_is_named_with_both(done: RunDir) -> None:
    first, *others = done.journal.read_text().splitlines()
    by = [json.dumps({**json.loads(first), "writer": writer}) for writer in ("n1:7", "n2:8")]
    done.journal.write_text("".join(f"{line}\n" for line in (*by, *others)))
    assert done.read().trouble.startswith(
        "epochs.jsonl: lines 1 and 2 both hold epoch 0 of phase train of attempt 1: two processes trained it "
        "(n1:7 and n2:8)"
    )


def test_a_gap_before_the_end_is_named_too(make_run) -> None:
    run = make_run(epochs=3, end="failed")
    run.journal.write_text("".join(lines(run)[::2]))
    state, trouble = seen(run)
    assert state is State.DAMAGED and "epoch 1 of phase train is missing" in trouble


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("start.json", '{"attempt": [1]}', "start.json: attempt: input should be a valid integer, got [1]"),
        ("job.json", "[" * 100_000, "job.json: recursion limit exceeded"),
        ("job.json", '{"schema_version": 9}', "job.json: a newer kbench wrote it (schema 9, this one knows 6)"),
        ("job.json", '{"schema_version": 3, "attempt": 1, "host": "h", "colour": 1}',
         "job.json: colour: extra inputs are not permitted, got 1"),
        ("done.json", '{"attempt": 1', "done.json: EOF while parsing an object at line 1 column 13"),
        ("done.json", "7", "done.json: holds no JSON object"),
        ("failed.json", "{}", "failed.json: error: field required"),
        ("provenance.json", '{"epochs": "many"}',
         "provenance.json: epochs: input should be a valid integer, unable to parse string as an integer, got 'many'"),
        ("spec.json", "{}", "spec.json: is no spec of a run: 5 validation errors for RunSpec"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_record_is_an_error_of_its_run_alone(
    name: str, text: str, problem: str, done: RunDir, make_run, experiment_dir: ExperimentDir
) -> None:
    make_run(seed=1, epochs=2, end="done")
    (done.path / name).write_text(text)
    state, trouble = seen(done)
    assert state is State.DAMAGED and trouble.lower().startswith(problem.lower())
    assert gather(experiment_dir, state_of) == (2, 2)
    query = f"select state, error, seed, epochs_done, best_acc1, n_trained from '{experiment_dir.runs}' order by seed"
    damaged, whole = duckdb.sql(query).fetchall()
    assert damaged == ("damaged", trouble + RETRY, 0, 0, None, 0)
    assert whole[:3] == ("done", None, 1)
    assert duckdb.sql(f"select distinct seed from '{experiment_dir.epochs}'").fetchall() == [(1,)]


def test_nothing_that_says_how_many_epochs_there_should_be_is_damage(done: RunDir) -> None:
    old = {"attempt": 1, "ended_at": "2025-01-01T12:30:00Z", "last_phase": "train"}
    (done.path / "done.json").write_text(json.dumps(old))
    assert seen(done) == (State.DAMAGED, "epochs.jsonl: nothing says how many epochs the run set out to train")
    Provenance(epochs=4).write(done.path)
    assert seen(done) == (State.DONE, "")


def test_a_journal_that_cannot_be_read_is_named(done: RunDir) -> None:
    done.journal.unlink()
    done.journal.mkdir()
    assert seen(done) == (State.DAMAGED, "epochs.jsonl: cannot be read: Is a directory")


def test_beginning_a_damaged_run_again_sets_its_records_aside_and_begins_anew(done: RunDir, make_epoch) -> None:
    done.checkpoint.write_bytes(b"the state of the run")
    bad = "".join(lines(done)[1:])
    done.journal.write_text(bad)
    done.begin(Job.of(attempt=2))
    (aside,) = done.path.glob("damaged-*")
    assert (aside / "epochs.jsonl").read_text() == bad and (aside / "done.json").exists()
    assert not done.journal.exists() and not done.checkpoint.exists()
    for epoch in range(4):
        journal.append(done.journal, make_epoch(epoch, attempt=2))
    done.finish(Done.of(attempt=2, phases=[PhaseLength(name="train", epochs=4)]))
    assert seen(done) == (State.DONE, "")


def test_beginning_a_whole_run_again_sets_nothing_aside(done: RunDir) -> None:
    done.begin(Job.of(attempt=2))
    assert not list(done.path.glob("damaged-*")) and len(lines(done)) == 4


def test_a_record_that_a_reader_needs_and_cannot_have_is_an_error_with_its_place(done: RunDir) -> None:
    (done.path / "job.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"job.json: attempt: field required$") as caught:
        Job.read(done.path)
    assert caught.value.hint == RETRY.removeprefix("; ")


@pytest.fixture
def named(experiment_dir: ExperimentDir) -> ExperimentDir:
    """An experiment of two strategies and three seeds, whose file is there."""
    experiment_dir.path.mkdir(parents=True)
    recipe = "{epochs: 3, global_batch: 48, lr: 0.05, schedule: cosine, augment: shift}"
    pair = f"{{model: digits-cnn, dataset: digits, recipe: {recipe}}}"
    text = f"name: small\npairs: [{pair}]\nstrategies: [baseline, sb]\nseeds: [0, 1, 2]\n"
    experiment_dir.source.write_text(text)
    return experiment_dir


def states(experiment: ExperimentDir) -> dict[str, str]:
    gather(experiment, state_of)
    query = f"select run_id, strategy, seed, state from '{experiment.runs}'"
    assert [run.run_id for run in experiment.read()] == [row[0] for row in duckdb.sql(query).fetchall()]
    return {f"{row[1]}.s{row[2]}": row[3] for row in duckdb.sql(query).fetchall()}


def test_a_run_that_the_experiment_means_and_that_has_no_folder_is_missing(named: ExperimentDir, make_run) -> None:
    make_run(seed=0, epochs=3, end="done")
    assert states(named) == dict.fromkeys(["baseline.s1", "baseline.s2", "sb.s0", "sb.s1", "sb.s2"], "missing") | {
        "baseline.s0": "done"
    }


def test_a_run_without_a_folder_has_the_name_that_it_would_get_where_a_seed_tells_it(
    named: ExperimentDir, make_run, run_spec
) -> None:
    make_run(seed=0, epochs=3, end="done")
    ids = [run.run_id for run in named.read()]
    assert ids[1] == run_spec.model_copy(update={"seed": 1}).run_id
    assert ids[3:] == [f"digits-cnn-digits.sb.s{seed}" for seed in range(3)]
    query = f"select count(distinct match_key) from '{named.runs}' where seed = 0"
    states(named)
    assert duckdb.sql(query).fetchall() == [(1,)]


def test_a_run_that_is_not_in_the_file_any_more_is_there_all_the_same(named: ExperimentDir, make_run) -> None:
    make_run(seed=7, epochs=3, end="done")
    assert states(named)["baseline.s7"] == "done" and len(named.read()) == 7


def test_missing_runs_come_and_go_with_the_experiments_file(named: ExperimentDir, make_run) -> None:
    make_run(seed=0, epochs=3, end="done")
    named.source.write_text(
        named.source.read_text().replace("[0, 1, 2]", "[0]").replace("[baseline, sb]", "[baseline]")
    )
    assert states(named) == {"baseline.s0": "done"}


def test_folders_are_what_all_runs_lists(named: ExperimentDir, make_run) -> None:
    run = make_run(seed=2, epochs=3, end="done")
    assert list(named.all_runs()) == [run]


def test_what_missing_runs_would_train_is_known(named: ExperimentDir, make_run) -> None:
    make_run(seed=0, ranks=2, epochs=3, end="done")
    assert [(run.spec.strategy.label, run.spec.ranks) for run in named.read() if run.spec] == [
        *[("baseline", 2)] * 3, *[("sb", 2)] * 3,
    ]  # fmt: skip


def test_a_folder_that_lost_its_spec_is_damaged_and_keeps_its_name(named: ExperimentDir, make_run) -> None:
    run = make_run(seed=0, epochs=3, end="done")
    make_run(seed=1, epochs=3, end="done")
    (run.path / "spec.json").write_text("[]")
    assert states(named)["baseline.s0"] == "damaged"


def test_a_damaged_experiment_file_hides_no_run(named: ExperimentDir, make_run) -> None:
    make_run(seed=0, epochs=3, end="done")
    named.source.write_text("name: [")
    assert states(named) == {"baseline.s0": "done"}


def test_no_folder_at_all_is_no_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="holds no runs"):
        gather(ExperimentDir(tmp_path / "nothing"), state_of)


@pytest.mark.parametrize("column", ["n_samples", "epoch", "peak_mem_bytes"])
def test_a_count_that_no_table_can_hold_damages_its_run_alone(column: str, done: RunDir) -> None:
    entry = json.loads(lines(done)[2]) | {column: 2**63}
    done.journal.write_text("".join([*lines(done)[:2], json.dumps(entry) + "\n", lines(done)[3]]))
    problem = f"{column}: does not fit 64 bits, got {2**63}"
    assert seen(done) == (State.DAMAGED, f"epochs.jsonl: line 3 is no record of an epoch: {problem}")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"attempt": 9223372036854775808}', '{"earlier": {"a": 1}}', "7"])
def test_nonsense_in_a_small_file_damages_its_run_alone(content: str, done: RunDir) -> None:
    (done.path / Job.NAME).write_text(content)
    state, trouble = seen(done)
    assert state == State.DAMAGED and trouble.startswith("job.json: ")


def test_an_error_cannot_steer_the_terminal(done: RunDir) -> None:
    failure = Failure.of("in plan \x1b[31mred\x07", kind=FailureKind.RAISED, attempt=1)
    failure.write(done.path)
    assert Failure.read(done.path).error == "in plan \\x1b[31mred\\x07"


def test_text_that_no_file_can_hold_is_escaped(done: RunDir) -> None:
    Provenance(argv=("a\udcff",), commit="\ud800").write(done.path)
    assert Provenance.read(done.path) == Provenance(argv=("a\\udcff",), commit="\\ud800")


def test_no_text_of_a_record_can_steer_the_terminal(done: RunDir) -> None:
    entry = {"schema_version": 3, "device_name": "x\x1b[2Jy\u202ez", "hosts": ["a\x9bb"], "metric": "\r"}
    (done.path / Provenance.NAME).write_text(json.dumps(entry))
    found = Provenance.read(done.path)
    assert found and (found.device_name, found.hosts, found.metric) == ("x\\x1b[2Jy\\u202ez", ("a\\x9bb",), "\\r")
