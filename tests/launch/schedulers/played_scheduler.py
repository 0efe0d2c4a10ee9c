"""A third scheduler, whole in this one file; a site names it as ``launcher: played_scheduler:Played``.

Its commands (psub, plist, pdel) are played by fake_commands.py, like those of the others.
"""

from collections.abc import Sequence
from pathlib import Path

from kbench.launch.schedulers.base import Capabilities, JobInfo, JobVariables, Scheduler, Stage
from kbench.records.run_state import FailureKind

REQUEUE_STATUS = 77


class Played(Scheduler):
    """A scheduler with arrays whose tasks are called 12[3], and whose dependencies name tasks one by one."""

    name = "played"
    can = Capabilities(
        arrays=True, submission_test="psub --test", accounting=True, excluded_nodes=True, job_states=True
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
#PLAYED name={{ job_name }} nodes={{ nodes }} cpus={{ cpus_per_rank }}
#PLAYED tasks={{ array or "0" }} away={{ exclude | join("+") }}
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
        return self.run(["psub", str(script)], keep=keep).strip()

    def test(self, script: Path) -> str:
        return self.run(["psub", "--test", str(script)], name="psub --test").strip()

    def jobs(self) -> dict[str, JobInfo]:
        rows = (line.split("|") for line in self.run(["plist"]).splitlines())
        return {job: JobInfo(Stage(stage), name, reason) for job, stage, name, reason in rows if stage != Stage.OVER}

    def cancel(self, ids: Sequence[str]) -> None:
        self.run(["pdel", *ids])

    def ended(self, ids: Sequence[str]) -> dict[str, str]:
        rows = (line.split("|") for line in self.run(["plist"]).splitlines())
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
