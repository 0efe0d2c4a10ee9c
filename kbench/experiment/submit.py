"""Submit runs to a scheduler: each exactly once, whenever this process may be killed."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kbench.errors import LaunchError
from kbench.experiment import ledger
from kbench.experiment.dependencies import orphans
from kbench.experiment.ledger import Submission, driver_lock
from kbench.experiment.order import BlockPlace, Order, draw_order
from kbench.experiment.plan import Plan
from kbench.experiment.redo import set_aside
from kbench.experiment.status import StatusMonitor
from kbench.launch.job_script import Task, script
from kbench.launch.schedulers.base import NoAnswer, Scheduler, understood
from kbench.launch.schedulers.registry import is_scheduler, scheduler_class
from kbench.records import register
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_files import Job
from kbench.records.run_state import FailureKind


class TaskRef(NamedTuple):
    """Which task of which submission trains a run."""

    token: str
    task: int


@dataclass(eq=False)
class Batch:
    """What one script does: tasks, each a group of runs done one after the other."""

    tasks: dict[int, Task]
    after: list[TaskRef] = field(default_factory=list)  # what it waits for: all of these,
    after_same_task: str = ""  # or each task for the same one of this submission
    after_whole: list[TaskRef] = field(default_factory=list)  # and for all tasks of these, as so many run at a time
    token: str = field(default_factory=lambda: f"kb{secrets.token_hex(4)}")  # SGE shows ten characters


def submit(plan: Plan, log: Callable[[str], None]) -> None:
    """Submit what is missing of a plan to the site's scheduler; what it has or had is left alone.

    Raises LaunchError when another process is at it, or at the first refusal.
    """
    folder, runs, site, retry = plan.folder, plan.run_dirs, plan.site, plan.request.retry
    with driver_lock(folder), ledger.submitting(folder) as keep:
        register.register_runs(folder, plan.runs, plan.text)
        set_aside(folder, plan.redone, log)
        recover(folder)
        monitor = StatusMonitor(folder, holds_lock=True)
        statuses = {run.run_id: monitor.status_of(run) for run in folder.read()}
        states = {run_id: status.state for run_id, status in statuses.items()}
        missing = [run for run in runs if states[run.run_id].starts_again(retry=retry)]
        if unknown := [run for run in missing if statuses[run.run_id].scheduler_error]:  # it may be in the queue
            missing = [run for run in missing if run not in unknown]
            log(f"{len(unknown)} runs are left alone: {monitor.scheduler_error}; kbench run again when that is over")
        for run, first in orphans(missing, states):
            missing.remove(run)
            log(f"{run.run_id} waits: it follows {first.run_id}, which is {states[first.run_id]}")
        log(f"{len(missing)} of {len(runs)} runs to submit, with {site.launcher}")
        order = draw_order(missing, folder, max_parallel=plan.request.max_parallel or 1) if missing else Order((), {})
        jobs = {run.run_id: run.read().job for run in plan.folder.all_runs() if states[run.run_id].is_live}
        live = {TaskRef(str(job.token), job.task): None for job in jobs.values() if job and is_scheduler(job.launcher)}
        for submission, submitted in submit_batches(plan, order, keep=keep, live=list(live)):
            plural = "s" if len(submitted) > 1 else ""
            log(f"job {submission.id}: {len(submitted)} run{plural}, {folder.job_script(submission.token)}")


def recover(experiment: ExperimentDir) -> None:
    """Find out what became of submissions whose driver did not live to note it."""
    for submission in ledger.submissions(experiment).values():
        if submission.id or submission.over:
            continue
        scheduler, token = submission.scheduler, submission.token
        runs = [run for run in experiment.read() if run.job and run.job.token == token]
        started_as = next((run.start.id for run in runs if run.start and run.has_started), None)
        with understood(scheduler):
            job_id = scheduler.array_id(started_as) if started_as else scheduler.find(token)
        if job_id:
            ledger.note(experiment, "submitted", token, id=job_id)
        else:
            ledger.note(experiment, "lost", token)


def groups(runs: Sequence[RunDir], *, paired: bool) -> list[Task]:
    """What shares an allocation: all strategies of a pair and a seed, or each run by itself; the order is kept."""
    if not paired:
        return [(run,) for run in runs]
    blocks: dict[str, list[RunDir]] = {}
    for run in runs:
        blocks.setdefault(run.read_spec().match_key, []).append(run)
    return [tuple(block) for block in blocks.values()]


def batches(
    tasks: Sequence[Task], *, arrays: bool, at_most: int, known: dict[str, TaskRef], corresponding: bool = True
) -> list[Batch]:
    """Put tasks into scripts, prerequisites first.

    ``known`` says which task trains a run that was submitted before; those of ``tasks`` join it.  In an
    array, a dependent takes the number of its prerequisite, so that one script can hold many of them,
    where the scheduler lets a task wait for the ``corresponding`` one.
    """
    found: list[Batch] = []
    left = list(tasks)
    while left:
        ready = [task for task in left if all(run_id in known for run_id in _prerequisites(task))]
        assert ready, "prerequisites are requested, alive or done"
        for task in ready:
            batch, number = _room_for(task, found, known, arrays=arrays, at_most=at_most, corresponding=corresponding)
            batch.tasks[number] = task
        for batch in found:
            known |= {run.run_id: TaskRef(batch.token, n) for n, task in batch.tasks.items() for run in task}
        left = [task for task in left if task not in ready]
    return found


def _room_for(
    task: Task, found: list[Batch], known: dict[str, TaskRef], *, arrays: bool, at_most: int, corresponding: bool
) -> tuple[Batch, int]:
    """A script that has room for a task, and the number that the task gets there."""
    after = [known[run_id] for run_id in _prerequisites(task)]
    if arrays and not after:
        for batch in found:
            if not batch.after and not batch.after_same_task and len(batch.tasks) < at_most:
                return batch, len(batch.tasks)
    if arrays and corresponding and len(after) == 1 and len(task) == 1:
        token, number = after[0]
        for batch in found:
            if batch.after_same_task == token and number not in batch.tasks:
                return batch, number
        found.append(Batch({}, after_same_task=token))
        return found[-1], number
    found.append(Batch({}, after=after))
    return found[-1], 0


def _prerequisites(task: Task) -> list[str]:
    """The runs outside a task that must be done before it, and are not."""
    inside = {run.run_id for run in task}
    every = [first for run in task if (first := run.read_prerequisite())]
    return list(dict.fromkeys(run.run_id for run in every if run.run_id not in inside and not run.is_done()))


def chain(found: Sequence[Batch], *, after: Sequence[TaskRef]) -> None:
    """Have each array wait for the one before, and the first for what is alive: each has a limit of its own.

    What waits for the task of the same number in the one before waits for all of it.
    """
    before = list(after)
    for batch in found:
        batch.after_whole, before = before, [TaskRef(batch.token, number) for number in batch.tasks]


def submit_batches(
    plan: Plan, order: Order, *, keep: Sequence[int], live: Sequence[TaskRef] = ()
) -> Iterator[tuple[Submission, list[RunDir]]]:
    """Submit runs of a plan in an order; yields each submission when it has been taken.

    ``live`` are tasks of earlier submissions that have not ended.  Every step is in the ledger before it is taken.
    Raises LaunchError at the first refusal.
    """
    earlier = ledger.submissions(plan.folder)
    run_ids = {run.run_id for run in order.runs}
    jobs = {run.run_id: run.job for run in plan.folder.read() if run.run_id not in run_ids}
    known = {
        run_id: TaskRef(str(job.token), job.task) for run_id, job in jobs.items() if job and is_scheduler(job.launcher)
    }
    scheduler = scheduler_class(plan.site.launcher)(plan.site.queue)
    arrays = scheduler.can.arrays and plan.site.arrays
    at_most = scheduler.max_array_tasks() if arrays else 1
    corresponding = scheduler.can.corresponding_tasks
    tasks = groups(order.runs, paired=plan.is_paired)
    found = batches(tasks, arrays=arrays, corresponding=corresponding, at_most=at_most, known=known)
    if plan.request.max_parallel:
        chain(found, after=live)
    for batch in found:
        yield _submit_one(plan, batch, scheduler, earlier, order.places, keep=keep)


def _submit_one(
    plan: Plan,
    batch: Batch,
    scheduler: Scheduler,
    earlier: dict[str, Submission],
    places: Mapping[str, BlockPlace],
    *,
    keep: Sequence[int],
) -> tuple[Submission, list[RunDir]]:
    """Submit one script."""
    experiment, site, token = plan.folder, plan.site, batch.token
    arrays = scheduler.can.arrays and site.arrays
    runs = [run for task in batch.tasks.values() for run in task]
    avoid = excluded_nodes(runs, scheduler) if scheduler.can.excluded_nodes else []
    after = [str(earlier[batch.after_same_task].id)] if batch.after_same_task else []
    after += [job_id for ref in batch.after if (job_id := earlier[ref.token].job(ref.task))]
    whole = [ref for ref in batch.after_whole if ref.token in earlier and earlier[ref.token].id]
    if not scheduler.can.corresponding_tasks:  # which names jobs, not arrays
        after = list(dict.fromkeys([*after, *(str(earlier[ref.token].job(ref.task)) for ref in whole)]))
        whole = []
    path = experiment.job_script(token)
    text = script(
        site,
        experiment,
        token,
        batch.tasks,
        after=after,
        after_whole=list(dict.fromkeys(str(earlier[ref.token].id) for ref in whole)),
        avoid=avoid,
        max_parallel=plan.request.max_parallel,
        arrays=arrays,
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    queue = site.queue if scheduler.can.site_commands else None
    submission = Submission(token=token, launcher=site.launcher, queue=queue, array=arrays)
    facts = {"launcher": site.launcher, "array": arrays, "runs": [run.run_id for run in runs], "avoid": avoid}
    ledger.note(experiment, "submit", token, queue=queue.model_dump() if queue else None, **facts)
    for number, task in batch.tasks.items():
        for run in task:
            _note_job(run, plan, token, number, places[run.run_id] if plan.is_paired else None)
    try:
        job_id = scheduler.submit(path, keep=keep)
    except NoAnswer:
        raise  # it may have been taken: the next kbench run finds out
    except LaunchError as error:
        ledger.note(experiment, "refused", token, why=error.message)
        raise
    ledger.note(experiment, "submitted", token, id=job_id)
    earlier[token] = replace(submission, id=job_id)
    return earlier[token], runs


def _note_job(run: RunDir, plan: Plan, token: str, task: int, at: BlockPlace | None) -> None:
    """Write into a run's folder how it is about to be started."""
    before = run.read()
    has_started = before.has_started or before.job is None or not is_scheduler(before.job.launcher)
    attempt = before.attempt + 1 if has_started else before.attempt
    job = Job.of(plan.site, attempt=attempt, token=token, task=task, pairing=plan.pairing)
    run.begin(job.updated(**at._asdict()) if at and plan.pairing != "turns" else job)  # a turn has many places
    run.script.unlink(missing_ok=True)
    run.script.symlink_to(os.path.relpath(plan.folder.job_script(token), run.path))


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
