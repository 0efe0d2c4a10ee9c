"""Runs handed to a scheduler: each exactly once, whenever this process may be killed."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kbench.config.site import Site
from kbench.errors import LaunchError
from kbench.experiment import ledger
from kbench.experiment.ledger import Submission
from kbench.experiment.status import job_named
from kbench.launch.dependencies import prerequisite_of
from kbench.launch.job_script import Task, script
from kbench.launch.schedulers.base import NoAnswer, Scheduler
from kbench.launch.schedulers.registry import is_scheduler, scheduler_class
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Job
from kbench.records.run_state import FailureKind, State


class Place(NamedTuple):
    """Which task of which submission does a run."""

    token: str
    task: int


@dataclass(eq=False)
class Batch:
    """What one script does: tasks, each a group of runs done one after the other."""

    tasks: dict[int, Task]
    behind: list[Place] = field(default_factory=list)  # what it waits for: all of these,
    corresponding: str = ""  # or each task for the same one of this submission
    token: str = field(default_factory=lambda: f"kb{secrets.token_hex(4)}")  # SGE shows ten characters


def recover(experiment: ExperimentDir) -> None:
    """Find out what became of submissions whose front did not live to note it."""
    open_ones = [one for one in ledger.submissions(experiment).values() if not one.id and not one.over]
    for one in open_ones:
        runs = [run for run in experiment.read() if run.job and run.job.token == one.token]
        began = next((run.start.id for run in runs if run.start and run.has_started), None)
        scheduler = one.scheduler
        found = job_named(one.token, scheduler.jobs(), scheduler) or (began and scheduler.array_id(began))
        if found:
            ledger.note(experiment, "submitted", one.token, id=found)
        else:
            ledger.note(experiment, "lost", one.token)


def orphans(runs: Sequence[RunDir], found: Mapping[str, State]) -> list[tuple[RunDir, RunDir]]:
    """Those of ``runs`` whose leader will not be done, with it: it is neither alive nor among them nor done.

    ``found`` has the states of all runs of the experiment.
    """
    coming = {run.run_id for run in runs} | {
        run_id for run_id, state in found.items() if state in (State.DONE, State.WAITING, State.RUNNING)
    }
    lost: list[tuple[RunDir, RunDir]] = []
    for _ in runs:  # who follows an orphan is one as well
        more = [(run, leader) for run in runs if (leader := prerequisite_of(run)) and leader.run_id not in coming]
        if more == lost:
            break
        lost, coming = more, coming - {run.run_id for run, _ in more}
    return lost


def groups(runs: Sequence[RunDir], *, paired: bool) -> list[Task]:
    """What shares an allocation: all strategies of a pair and a seed, or each run by itself; the order is kept."""
    if not paired:
        return [(run,) for run in runs]
    blocks: dict[str, list[RunDir]] = {}
    for run in runs:
        blocks.setdefault(run.read_spec().match_key, []).append(run)
    return [tuple(block) for block in blocks.values()]


def batches(
    tasks: Sequence[Task], *, arrays: bool, at_most: int, places: dict[str, Place], corresponding: bool = True
) -> list[Batch]:
    """Put tasks into scripts, those that others follow first.

    ``places`` are those of live runs that were handed in before; those of ``tasks`` join them.  In
    an array, followers take the number of the run that they follow, so that one script can hold many
    of them, where the scheduler lets a task wait for the ``corresponding`` one.
    """
    made: list[Batch] = []
    left = list(tasks)
    while left:
        ready = [task for task in left if all(leader in places for leader in _leaders(task))]
        assert ready, "leaders are asked for, alive or done"
        for task in ready:
            batch, number = _room_for(task, made, places, arrays=arrays, at_most=at_most, corresponding=corresponding)
            batch.tasks[number] = task
        for batch in made:
            places |= {run.run_id: Place(batch.token, n) for n, task in batch.tasks.items() for run in task}
        left = [task for task in left if task not in ready]
    return made


def _room_for(
    task: Task, made: list[Batch], places: dict[str, Place], *, arrays: bool, at_most: int, corresponding: bool
) -> tuple[Batch, int]:
    """A script that has room for a task, and the number that the task gets there."""
    behind = [places[leader] for leader in _leaders(task)]
    if arrays and not behind:
        for batch in made:
            if not batch.behind and not batch.corresponding and len(batch.tasks) < at_most:
                return batch, len(batch.tasks)
    if arrays and corresponding and len(behind) == 1 and len(task) == 1:
        token, number = behind[0]
        for batch in made:
            if batch.corresponding == token and number not in batch.tasks:
                return batch, number
        made.append(Batch({}, corresponding=token))
        return made[-1], number
    made.append(Batch({}, behind=behind))
    return made[-1], 0


def _leaders(task: Task) -> list[str]:
    """The runs outside a task that must be done before it, and are not."""
    own = {run.run_id for run in task}
    leaders = [leader for run in task if (leader := prerequisite_of(run))]
    return list(dict.fromkeys(one.run_id for one in leaders if one.run_id not in own and not one.is_done()))


def submit_batches(
    experiment: ExperimentDir, runs: Sequence[RunDir], site: Site, *, paired: bool, max_parallel: int | None,
    keep: Sequence[int],
) -> Iterator[tuple[Submission, list[RunDir]]]:  # fmt: skip
    """Hand in runs; yields each submission when it has been taken.

    Every step is in the ledger before it is taken.  Raises LaunchError at the first refusal.
    """
    there = ledger.submissions(experiment)
    ours = {run.run_id for run in runs}
    before = {run.run_id: run.job for run in experiment.read() if run.run_id not in ours}
    alive = {run_id: job for run_id, job in before.items() if job and is_scheduler(job.launcher)}
    places = {run_id: Place(str(job.token), job.task) for run_id, job in alive.items()}
    scheduler = scheduler_class(site.launcher)(site.queue)
    arrays = scheduler.can.arrays and site.arrays
    at_most = scheduler.max_array_tasks() if arrays else 1
    corresponding = scheduler.can.corresponding_tasks
    tasks = groups(runs, paired=paired)
    for batch in batches(tasks, arrays=arrays, corresponding=corresponding, at_most=at_most, places=places):
        yield _one(experiment, batch, site, there, max_parallel=max_parallel, keep=keep)


def _one(
    experiment: ExperimentDir, batch: Batch, site: Site, there: dict[str, Submission], *,
    max_parallel: int | None, keep: Sequence[int],
) -> tuple[Submission, list[RunDir]]:  # fmt: skip
    """Hand in one script."""
    scheduler = scheduler_class(site.launcher)(site.queue)
    arrays = scheduler.can.arrays and site.arrays
    runs = [run for task in batch.tasks.values() for run in task]
    avoid = excluded_nodes(runs, scheduler) if scheduler.can.excluded_nodes else []
    after = [str(there[batch.corresponding].id)] if batch.corresponding else []
    after += [job for place in batch.behind if (job := there[place.token].job(place.task))]
    path = experiment.job_script(batch.token)
    text = script(
        site, experiment, batch.token, batch.tasks, after=after, avoid=avoid, max_parallel=max_parallel, arrays=arrays
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    queue = site.queue if scheduler.can.site_commands else None
    submission = Submission(token=batch.token, launcher=site.launcher, queue=queue, array=arrays)
    facts = {"launcher": site.launcher, "array": arrays, "runs": [run.run_id for run in runs], "avoid": avoid}
    ledger.note(experiment, "submit", batch.token, queue=queue.model_dump() if queue else None, **facts)
    for number, task in batch.tasks.items():
        for run in task:
            _prepare(run, site, batch.token, number, experiment)
    try:
        job_id = scheduler.submit(path, keep=keep)
    except NoAnswer:
        raise  # it may have been taken: the next kbench run finds out
    except LaunchError as error:
        ledger.note(experiment, "refused", batch.token, why=error.message)
        raise
    ledger.note(experiment, "submitted", batch.token, id=job_id)
    taken = replace(submission, id=job_id)
    there[batch.token] = taken
    return taken, runs


def _prepare(run: RunDir, site: Site, token: str, task: int, experiment: ExperimentDir) -> None:
    """Write into a run's folder how it is about to be started."""
    before = run.read()
    begun = before.has_started or before.job is None or not is_scheduler(before.job.launcher)
    attempt = before.attempt + 1 if begun else before.attempt
    run.begin(Job.of(site, attempt=attempt, token=token, task=task))
    run.script.unlink(missing_ok=True)
    run.script.symlink_to(os.path.relpath(experiment.job_script(token), run.path))


def excluded_nodes(runs: Sequence[RunDir], scheduler: Scheduler) -> list[str]:
    """Nodes on which an earlier attempt of these runs was lost."""
    found: set[str] = set()
    for run in (folder.read() for folder in runs):
        kind, nodes = run.failure.kind if run.failure else None, run.start.nodes if run.start else ()
        if run.failure and run.failure.node:
            found.add(run.failure.node)
        elif kind in (FailureKind.NODE_FAILURE, FailureKind.VANISHED) and nodes:
            first = nodes[:1] if kind is FailureKind.NODE_FAILURE else ()  # it ran srun
            found.update(scheduler.failed_nodes(nodes) or first)
    return sorted(found)
