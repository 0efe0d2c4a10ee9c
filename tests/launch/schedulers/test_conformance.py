"""What every scheduler must do, whatever it can do: the same tests over Slurm, Grid Engine and a third one.

Commands are played (fake_commands.py, played_scheduler.py); kbench, its job scripts and the program in
the job are real, only the ranks write their end at once.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_commands import FLUX, GRID_ENGINE, LSF, SLURM, THIRD, PlayedCluster, PlayedJob, install
from played_scheduler import REQUEUE_STATUS, Played
from typer.testing import CliRunner, Result

from kbench import files
from kbench.cli.app import app
from kbench.config.lookup import find
from kbench.config.site import Queue
from kbench.launch.schedulers.base import Scheduler
from kbench.launch.schedulers.commands import Commands
from kbench.launch.schedulers.registry import SCHEDULERS, is_scheduler, scheduler_class
from kbench.launch.schedulers.slurm import Slurm
from kbench.records.folders import ExperimentDir
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind
from kbench.records.snapshot import RunSnapshot

EXPERIMENT = """\
name: small
pairs: [{model: digits-cnn, dataset: digits, recipe: {epochs: 1, global_batch: 48, lr: 0.05}}]
strategies: [baseline, {random: {like: baseline}, label: like}]
seeds: [0]
"""
# Stands for the Python of the ranks: ends a run at once, or, on its first attempt, near the time limit.
RANKS = """\
#!%s
import json, os, signal, sys, time
from pathlib import Path
run = Path(sys.argv[-1])
start = json.loads((run / "start.json").read_text())
if start["attempt"] == 1 and os.environ.get("NEAR_THE_LIMIT"):
    os.kill(os.getppid(), signal.SIGUSR1)
    while not (run / "stop").exists():
        time.sleep(0.02)
else:
    end = {"schema_version": 2, "attempt": start["attempt"], "ended_at": start["started_at"], "phases": []}
    (run / "done.json").write_text(json.dumps(end))
"""


def slurm_variables(job: PlayedJob, folder: Path) -> dict[str, str]:
    """What slurmd sets for a job."""
    array = {"SLURM_ARRAY_JOB_ID": Slurm.array_id(job.id), "SLURM_ARRAY_TASK_ID": job.task} if job.task else {}
    nodes = {"SLURM_JOB_ID": job.id, "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_RESTART_COUNT": str(job.restarts)}
    return {**nodes, **array}


def grid_engine_variables(job: PlayedJob, folder: Path) -> dict[str, str]:
    """What execd sets for a job."""
    (folder / "hosts").write_text("n1 1 all.q@n1 UNDEFINED\nn2 1 all.q@n2 UNDEFINED\n")
    return {"JOB_ID": job.id, "PE_HOSTFILE": str(folder / "hosts"), "RESTARTED": str(int(job.restarts > 0))}


def played_variables(job: PlayedJob, folder: Path) -> dict[str, str]:
    """What the third scheduler sets for a job."""
    named = {"PLAYED_JOB": Played.array_id(job.id), "PLAYED_TASK": job.task}
    return {**named, "PLAYED_NODES": "n1+n2", "PLAYED_RESTARTS": str(job.restarts)}


def lsf_variables(job: PlayedJob, folder: Path) -> dict[str, str]:
    """What LSF's sbatchd sets for a job."""
    (folder / "hosts").write_text("n1\nn2\n")
    return {"LSB_JOBID": job.id, "LSB_DJOB_HOSTFILE": str(folder / "hosts")}


def commands_of(name: str) -> Queue:
    """The commands of an example site."""
    return Queue.model_validate(yaml.safe_load(find(name, "configs/sites", ".yaml", "site").read_text())["queue"])


def example(name: str) -> str:
    """The lines of an example site that say how its scheduler is driven."""
    tree = yaml.safe_load(find(name, "configs/sites", ".yaml", "site").read_text())
    return yaml.safe_dump({key: tree[key] for key in ("launcher", "template", "queue", "requeue")})


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scheduler as the tests see it."""

    kind: type[Scheduler]
    site: str
    commands: tuple[str, ...] = ()
    variables: Callable[[PlayedJob, Path], dict[str, str]]
    requeue_status: int | None = None
    queue: Queue | None = None
    start_name: str = field(default="")  # what start.json calls it
    tells_restarts: bool = True
    requeues: bool = True  # whether its jobs put themselves back into the queue


CASES = {
    "slurm": Case(kind=Slurm, site="launcher: slurm\n", commands=SLURM, variables=slurm_variables, start_name="slurm"),
    "slurm-without-arrays": Case(
        kind=Slurm,
        site="launcher: slurm\narrays: false\n",
        commands=SLURM,
        variables=slurm_variables,
        start_name="slurm",
    ),
    "grid-engine": Case(
        kind=Commands,
        site="launcher: queue\ntemplate: sge\nqueue: {submit: [qsub, -terse], list: [qstat], cancel: [qdel]}\n",
        commands=GRID_ENGINE,
        variables=grid_engine_variables,
        requeue_status=99,
        queue=Queue(submit=("qsub", "-terse"), list=("qstat",), cancel=("qdel",)),
        start_name="sge",
    ),
    "lsf": Case(
        kind=Commands,
        site=example("lsf"),
        commands=LSF,
        variables=lsf_variables,
        queue=commands_of("lsf"),
        start_name="lsf",
        tells_restarts=False,
    ),
    "flux": Case(
        kind=Commands,
        site=example("flux"),
        commands=FLUX,
        variables=lambda job, folder: {"FLUX_PLAYED_ID": job.id},
        queue=commands_of("flux"),
        start_name="flux",
        requeues=False,
    ),
    "third": Case(
        kind=Played,
        site="launcher: played_scheduler:Played\n",
        commands=THIRD,
        variables=played_variables,
        requeue_status=REQUEUE_STATUS,
        start_name="played",
    ),
}
CLASSES = [*SCHEDULERS.values(), Played]


class Desk:
    """A user before a played cluster, in a folder of their own."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.cluster = PlayedCluster(folder / "jobs.json")
        self.scheduler = case.kind(case.queue)
        self.experiment = ExperimentDir(folder / "results" / "small")

    def calls(self, *words: str) -> Result:
        """Call kbench in this process; an error is the result's exception."""
        return CliRunner().invoke(app, list(words))

    def runs(self, *words: str) -> Result:
        """Call kbench run, which must go well."""
        result = self.calls("run", "small.yaml", "--site", "site.yaml", *words)
        assert result.exception is None, result.output
        return result

    def states(self) -> dict[str, str]:
        """The states by strategy that kbench status prints."""
        result = self.calls("status", "small", "--json")
        assert result.exception is None, result.output
        return {row["run_id"].split(".")[1]: row["state"] for row in json.loads(result.stdout)["runs"]}

    def found(self, label: str) -> RunSnapshot:
        """The files of a strategy's run."""
        return next(run for run in self.experiment.read() if run.run_id.split(".")[1] == label)

    def step(self) -> list[str]:
        """Let the jobs that may start run to their end; returns their ids."""
        ready = self.cluster.ready()
        for job in ready:
            self.cluster.run(job, self.case.variables(job, self.folder), requeue_status=self.case.requeue_status)
        return [job.id for job in ready]


@pytest.fixture(params=CASES)
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    case = CASES[request.param]
    (tmp_path / "ranks").write_text(RANKS % sys.executable)
    (tmp_path / "ranks").chmod(0o755)
    (tmp_path / "small.yaml").write_text(EXPERIMENT)
    (tmp_path / "site.yaml").write_text(f"{case.site}threads_per_rank: 1\npython: {tmp_path / 'ranks'}\n")
    install(tmp_path / "bin", case.commands)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("PLAYED_CLUSTER", str(tmp_path / "jobs.json"))
    monkeypatch.delenv("KBENCH_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return Desk(case, tmp_path)


def test_what_is_submitted_waits_once_and_a_dependent_run_comes_after_its_prerequisite(desk: Desk) -> None:
    desk.runs()
    assert desk.states() == {"baseline": "waiting", "like": "waiting"}
    print(desk.cluster.read(), desk.cluster.file.read_text())
    first, second = desk.cluster.read()
    assert (first.after, second.after) == ([], [first.id])
    desk.runs()
    assert len(desk.cluster.read()) == 2
    assert desk.step() == [first.id]
    assert desk.states() == {"baseline": "done", "like": "waiting"}
    assert desk.step() == [second.id]
    assert desk.states() == {"baseline": "done", "like": "done"}


def test_a_job_knows_its_id_its_nodes_and_how_often_it_was_started(desk: Desk) -> None:
    desk.runs("--only", "baseline")
    (job,) = desk.step()
    start = desk.found("baseline").start
    assert start is not None
    assert (start.scheduler, start.id, start.nodes) == (desk.case.start_name, job, ("n1", "n2"))
    assert (start.attempt, start.restarts) == (1, 0)
    assert job == next(iter(desk.cluster.read())).id


def test_a_run_near_its_time_limit_is_requeued_and_is_done_in_another_attempt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_THE_LIMIT", "1")
    desk.runs("--only", "baseline")
    (job,) = desk.step()
    failure = desk.found("baseline").failure
    assert failure is not None and failure.kind is FailureKind.TIME_LIMIT
    if not desk.case.requeues:
        assert desk.states() == {"baseline": "interrupted", "like": "missing"}
        return
    assert desk.states() == {"baseline": "waiting", "like": "missing"}
    assert desk.step() == [job]
    run = desk.found("baseline")
    assert desk.states() == {"baseline": "done", "like": "missing"}
    assert run.start is not None and (run.attempt, run.start.restarts) == (2, int(desk.case.tells_restarts))
    assert [one.attempt for one in run.start.earlier] == [1]


def test_cancel_empties_the_queue_and_retry_fills_it_again(desk: Desk) -> None:
    desk.runs()
    assert desk.calls("cancel", "small").exception is None
    assert desk.cluster.ready() == [] and {job.stage for job in desk.cluster.read()} == {"over"}
    assert desk.states() == {"baseline": "cancelled", "like": "cancelled"}
    desk.runs()
    assert len(desk.cluster.read()) == 2
    desk.runs("--retry")
    assert len(desk.cluster.read()) == 4
    desk.step()
    desk.step()
    assert desk.states() == {"baseline": "done", "like": "done"}


def test_a_submission_that_was_not_noted_is_found_again_by_its_name(desk: Desk) -> None:
    desk.runs()
    entries = files.read(desk.experiment.ledger)
    kept = [json.dumps(entry) for entry in entries if entry["event"] != "submitted"]
    desk.experiment.ledger.write_text("".join(f"{line}\n" for line in kept))
    desk.runs()
    assert len(desk.cluster.read()) == 2
    found = [entry["id"] for entry in files.read(desk.experiment.ledger) if entry["event"] == "submitted"]
    assert found == [desk.scheduler.array_id(job.id) for job in desk.cluster.read()]


def test_a_job_that_is_gone_before_it_started_is_submitted_again_unless_somebody_ended_it(desk: Desk) -> None:
    desk.runs("--only", "baseline")
    reasons = {"CANCELLED": "cancelled", "killed": "cancelled"}
    reason = next((one for one in desk.scheduler.end_kinds if one in reasons), "")
    desk.cluster.end([job.id for job in desk.cluster.read()], reason)
    assert desk.states() == {"baseline": reasons.get(reason, "interrupted"), "like": "missing"}
    desk.runs("--only", "baseline", *(["--retry"] if reason else []))
    assert len(desk.cluster.ready()) == 1


def test_what_the_scheduler_would_refuse_is_refused_before_anything_is_submitted(desk: Desk) -> None:
    result = desk.calls("run", "small.yaml", "--site", "site.yaml", "--set", "nodes=8")
    if desk.scheduler.can.submission_test:
        assert result.exception is not None and desk.scheduler.can.submission_test in str(result.exception)
        assert desk.cluster.read() == []
    else:
        assert result.exception is None and desk.cluster.read()


def test_a_node_that_failed_is_excluded_where_the_scheduler_can(desk: Desk) -> None:
    desk.runs("--only", "baseline")
    (job,) = desk.cluster.ready()
    desk.cluster.end([job.id], "")
    run = desk.experiment.run(desk.found("baseline").run_id)
    run.fail(Failure.of("node n7 failed", kind=FailureKind.NODE_FAILURE, attempt=1, node="n7"))
    desk.runs("--only", "baseline")
    (again,) = desk.cluster.ready()
    assert ("n7" in Path(again.script).read_text()) == desk.scheduler.can.excluded_nodes


def test_only_arrays_limit_how_many_runs_are_trained_at_a_time(desk: Desk) -> None:
    result = desk.calls("run", "small.yaml", "--site", "site.yaml", "--max-parallel", "2")
    if desk.scheduler.can.arrays and "arrays: false" not in desk.case.site:
        assert result.exception is None
    else:
        assert str(result.exception).startswith("--max-parallel: only job arrays")


def test_a_command_that_is_not_there_is_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.runs()
    monkeypatch.setenv("PATH", str(desk.folder / "nowhere"))
    result = desk.calls("status", "small")
    assert result.exception is None and "is not there" in result.output


@pytest.mark.parametrize("answer", ["empty", "cut", "extra", "recycled", "late"])
def test_a_wrong_answer_of_the_list_has_nothing_submitted_twice(desk: Desk, answer: str) -> None:
    desk.runs()
    desk.cluster.spoil(answer)
    assert desk.states() == {"baseline": "waiting", "like": "waiting"}
    desk.cluster.spoil(answer)
    desk.runs()
    assert len(desk.cluster.read()) == 2


def test_a_job_of_another_name_that_has_our_number_is_not_ended(desk: Desk) -> None:
    desk.runs("--only", "baseline")
    (job,) = desk.cluster.read()
    desk.cluster.change(job.id, name="important")
    assert desk.states()["baseline"] == "interrupted"
    assert desk.calls("cancel", "small").exception is None
    assert [one.stage for one in desk.cluster.read()] == ["waiting"]
    desk.runs("--only", "baseline")
    assert len(desk.cluster.read()) == 2


def test_nothing_is_ended_while_the_list_cannot_be_had(desk: Desk) -> None:
    desk.runs("--only", "baseline")
    desk.cluster.spoil("late", "late", "late")
    assert "nothing was cancelled" in str(desk.calls("cancel", "small").exception)
    assert [job.stage for job in desk.cluster.read()] == ["waiting"]


def test_a_limit_of_runs_at_a_time_holds_over_the_parts_of_an_array(desk: Desk) -> None:
    if not desk.scheduler.can.arrays or "arrays: false" in desk.case.site:
        pytest.skip("this scheduler has no arrays")
    words = ("--only", "baseline", "--set", "seeds=[0,1,2,3]", "--max-parallel", "1")
    desk.runs(*words)
    jobs = desk.cluster.read()
    first = [job.id for job in jobs if not job.after]
    assert 0 < len(first) < len(jobs) == 4
    assert all(set(job.after) == set(first) for job in jobs if job.after)


@pytest.mark.parametrize("kind", CLASSES)
def test_capabilities_are_what_a_class_really_has(kind: type[Scheduler]) -> None:
    def is_own(name: str) -> bool:
        return bool(getattr(kind, name).__qualname__ != getattr(Scheduler, name).__qualname__)

    assert kind.can.accounting == is_own("ended")
    assert bool(kind.can.submission_test) == is_own("test")
    assert kind.can.arrays == is_own("task_id") == is_own("array_id") == is_own("max_array_tasks")
    assert kind.can.arrays >= kind.can.corresponding_tasks
    assert kind.job_variables and all(isinstance(value, FailureKind) for value in kind.end_kinds.values())
    assert bool(kind.template or kind.template_text) != kind.can.site_commands
    assert is_scheduler(kind.name) or is_scheduler(f"{kind.__module__}:{kind.__name__}")


@pytest.mark.parametrize("kind", CLASSES)
def test_the_id_of_a_task_leads_back_to_its_array_and_a_name_holds_the_token(kind: type[Scheduler]) -> None:
    task = kind.task_id("12", 3)
    assert (task != "12") == kind.can.arrays and kind.array_id(task) == kind.array_id("12") == "12"
    assert "kb0123abcd" in kind.job_name("small", "kb0123abcd")


@pytest.mark.parametrize(
    ("launcher", "sentence"),
    [
        ("no_such_module:Cluster", "launcher 'no_such_module:Cluster' cannot be loaded: ModuleNotFoundError"),
        ("played_scheduler:Nope", "launcher 'played_scheduler:Nope' cannot be loaded: AttributeError"),
        ("played_scheduler:Capabilities", "launcher 'played_scheduler:Capabilities' is no class derived from"),
    ],
)
def test_a_scheduler_from_elsewhere_that_cannot_be_used_is_refused_with_the_place_in_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, sentence: str
) -> None:
    (tmp_path / "small.yaml").write_text(EXPERIMENT)
    (tmp_path / "site.yaml").write_text(f"launcher: {launcher}\n")
    monkeypatch.chdir(tmp_path)
    result: Any = CliRunner().invoke(app, ["check", "small.yaml", "--site", "site.yaml"])
    assert f"site.yaml: top level: {sentence}" in str(result.exception) or sentence in str(result.exception)
    assert scheduler_class("played_scheduler:Played") is Played
