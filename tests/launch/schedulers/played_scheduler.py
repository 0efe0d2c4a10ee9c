"""A third scheduler, whole in this one file: its class, its job script, and the cluster that plays it.

A site names it as ``launcher: played_scheduler:Played``.  Its jobs lie in the file that PLAYED_CLUSTER
names; its commands are this file, run as a program.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kbench.launch.schedulers.base import Capabilities, JobInfo, JobVariables, Scheduler, Stage
from kbench.records.run_state import FailureKind

REQUEUE_STATUS = 77


class Played(Scheduler):
    """A scheduler with arrays whose tasks are called 12[3], and whose dependencies name tasks one by one."""

    name = "played"
    can = Capabilities(
        arrays=True, submission_test="played test", accounting=True, excluded_nodes=True, job_states=True
    )
    job_variables = (
        JobVariables(
            scheduler="played",
            id="PLAYED_JOB",
            nodes="PLAYED_NODES",
            array=("PLAYED_JOB", "PLAYED_TASK"),
            restarts="PLAYED_RESTARTS",
            requeue_status=REQUEUE_STATUS,
        ),
    )
    end_kinds = {"killed": FailureKind.CANCELLED, "lost": FailureKind.NODE_FAILURE}
    template_text = """\
#!/usr/bin/env bash
#PLAYED name={{ job_name }} nodes={{ nodes }} tasks={{ array or "0" }} away={{ exclude | join("+") }}
#PLAYED after={{ after | join("+") }}
tasks=(
{% for task, run_ids in tasks.items() %}
    [{{ task }}]={{ run_ids | join(" ") | sh }}
{% endfor %}
)
read -ra run_ids <<<"${tasks[$PLAYED_TASK]}"
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --grace {{ grace_s }}
{%- if requeue %} --requeue{% endif %} "${run_ids[@]}" -- \\
    env OMP_NUM_THREADS={{ threads_per_rank }} {{ python | map("sh") | join(" ") }} -m kbench.worker
"""

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        return self.run([*COMMAND, "submit", str(script)], name="played submit", keep=keep).strip()

    def test(self, script: Path) -> str:
        return self.run([*COMMAND, "test", str(script)], name="played test").strip()

    def jobs(self) -> dict[str, JobInfo]:
        rows = (line.split("|") for line in self.run([*COMMAND, "list"], name="played list").splitlines())
        return {job: JobInfo(Stage(stage), name, reason) for job, stage, name, reason in rows if stage != Stage.OVER}

    def cancel(self, ids: Sequence[str]) -> None:
        self.run([*COMMAND, "cancel", *ids], name="played cancel")

    def ended(self, ids: Sequence[str]) -> dict[str, str]:
        rows = (line.split("|") for line in self.run([*COMMAND, "list"], name="played list").splitlines())
        return {job: reason for job, stage, _, reason in rows if stage == Stage.OVER and job in ids}

    def max_array_tasks(self) -> int:
        return 3

    @classmethod
    def task_id(cls, job_id: str, task: int | str) -> str:
        return f"{job_id}[{task}]"

    @classmethod
    def array_id(cls, job_id: str) -> str:
        return job_id.partition("[")[0]

    @classmethod
    def node_names(cls, value: str) -> tuple[str, ...]:
        return tuple(value.split("+"))


COMMAND = (sys.executable, __file__)


@dataclass
class PlayedJob:
    """A task, or a job without any, of a played cluster."""

    id: str
    script: str
    name: str
    task: str = ""  # its number in an array
    after: list[str] = field(default_factory=list)  # ids of those that must be over before
    stage: str = "waiting"
    reason: str = ""
    restarts: int = 0


class PlayedCluster:
    """The jobs of a cluster that runs one when it is told to; tests and commands see them in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[PlayedJob]:
        """All jobs, in the order of their submission."""
        return [PlayedJob(**job) for job in json.loads(self.file.read_text())] if self.file.exists() else []

    def write(self, jobs: Sequence[PlayedJob]) -> None:
        """Replace all jobs."""
        self.file.write_text(json.dumps([asdict(job) for job in jobs]))

    def change(self, job_id: str, **changes: object) -> None:
        """Change one job."""
        self.write([PlayedJob(**{**asdict(job), **(changes if job.id == job_id else {})}) for job in self.read()])

    def add(self, script: str, name: str, *, ids: Mapping[str, str], after: Mapping[str, Sequence[str]]) -> None:
        """Put the tasks of a script into the queue: their ids, and what each is to come after."""
        new = [PlayedJob(job, script, name, task, list(after[task])) for task, job in ids.items()]
        self.write([*self.read(), *new])

    def number(self) -> int:
        """The number of the next script."""
        return 1 + len({job.script for job in self.read()})

    def ready(self) -> list[PlayedJob]:
        """The waiting jobs that may start."""
        left = {job.id for job in self.read() if job.stage != "over"}
        return [job for job in self.read() if job.stage == "waiting" and not left & set(job.after)]

    def end(self, ids: Sequence[str], reason: str) -> None:
        """End jobs that have not ended."""
        for job in self.read():
            if job.id in ids and job.stage != "over":
                self.change(job.id, stage="over", reason=reason)

    def run(self, job: PlayedJob, variables: Mapping[str, str], *, requeue_status: int | None = None) -> int:
        """Run a job to its end on a node, where its variables are; returns the status of its script."""
        self.change(job.id, stage="running")
        done = subprocess.run(
            ["bash", job.script], env={**os.environ, **variables}, start_new_session=True, timeout=120
        )
        now = next(one for one in self.read() if one.id == job.id)
        if done.returncode == requeue_status:
            self.change(job.id, stage="waiting", reason="requeued", restarts=job.restarts + 1)
        elif now.stage == "running":  # else a command has changed it meanwhile
            self.change(job.id, stage="over", reason="done" if done.returncode == 0 else "failed")
        return done.returncode


def directives(script: str) -> dict[str, str]:
    """What the #PLAYED lines of a script say."""
    lines = [line for line in Path(script).read_text().splitlines() if line.startswith("#PLAYED ")]
    return dict(part.split("=", 1) for line in lines for part in line.split()[1:])  # type: ignore[misc]


def main(action: str, *arguments: str) -> None:
    """Do what a command of the scheduler does."""
    cluster = PlayedCluster(Path(os.environ["PLAYED_CLUSTER"]))
    if action in ("submit", "test"):
        given = directives(arguments[0])
        if int(given["nodes"]) > 4:
            sys.exit("played: this cluster has 4 nodes")
        if action == "test":
            print("would start at once")
            return
        number = str(cluster.number())
        ids = {task: Played.task_id(number, task) for task in given["tasks"].split(",")}
        after = [one for one in given["after"].split("+") if one]
        cluster.add(arguments[0], given["name"], ids=ids, after=dict.fromkeys(ids, after))
        print(number)
    elif action == "list":
        for job in cluster.read():
            print(job.id, job.stage, job.name, job.reason, sep="|")
    elif action == "cancel":
        cluster.end(arguments, "killed")


if __name__ == "__main__":
    main(*sys.argv[1:])
