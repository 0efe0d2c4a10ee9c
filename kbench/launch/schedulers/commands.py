"""Any scheduler that a site drives by commands of its own (launcher: queue): SGE, PBS, LSF, ..."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from kbench.config.site import Queue, Site
from kbench.errors import LaunchError
from kbench.launch.diagnosis import Finding, ask, missing, ok
from kbench.launch.schedulers.base import (
    SUBMIT_TIMEOUT_S,
    Capabilities,
    JobInfo,
    JobVariables,
    NoAnswer,
    Scheduler,
    Stage,
)
from kbench.launch.schedulers.slurm import Slurm

DIAGNOSIS_S = 10.0  # that a command may take for kbench doctor


class Commands(Scheduler):
    """A scheduler that takes scripts, lists jobs and ends them by commands of the site file."""

    name = "queue"
    can = Capabilities(site_commands=True)
    job_variables = (
        JobVariables(scheduler="pbs", id="PBS_JOBID", nodes="PBS_NODEFILE", requeue=("qrerun", "{id}")),
        JobVariables(scheduler="lsf", id="LSB_JOBID", nodes="LSB_DJOB_HOSTFILE", requeue=("brequeue", "{id}")),
        JobVariables(scheduler="flux", id="KBENCH_JOB_ID", nodes="KBENCH_JOB_NODES"),  # which jobs/flux.sh sets
        JobVariables(scheduler="sge", id="JOB_ID", nodes="PE_HOSTFILE", restarts="RESTARTED", requeue_status=99),
    )
    # Slurm's imitation of qsub reads Slurm's as well; the others change what LSF and Flux list.
    hidden_variables = (*Slurm.hidden_variables, "LSB_BJOBS_", "FLUX_JOBS_")
    kept_variables = Slurm.kept_variables

    def __init__(self, commands: Queue | None = None) -> None:
        super().__init__(commands)
        if commands is None:
            raise LaunchError("launcher 'queue': the site's commands are not known", hint="see queue in the site file")
        self._commands = commands
        self._id = re.compile(commands.id_pattern)

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Submit a job script; returns the job's id as the site's pattern finds it."""
        text = self.run([*self._commands.submit, str(script)], timeout_s=SUBMIT_TIMEOUT_S, keep=keep)
        lines = [(line, found[1]) for line in text.splitlines() if (found := self._id.search(line))]
        single = [job_id for line, job_id in lines if len(line.split()) == 1]  # what -terse prints, below any banner
        if len(lines) == 1 or single:
            return single[-1] if single else lines[0][1]
        try:
            return self.find_submitted(script, text)
        except NoAnswer:
            if lines:  # of several, and the queue does not show the job yet
                return lines[-1][1]
            raise

    def jobs(self) -> dict[str, JobInfo]:
        """Every job that the list command shows; whether it runs, only its own folder tells."""
        try:
            text = self.run(self._commands.list)
        except LaunchError as error:  # some end badly over an empty list
            if isinstance(error, NoAnswer) or not re.search(self._commands.gone_pattern, error.message):
                raise
            return {}
        return self._read(text)

    @property
    def answers_by_id(self) -> bool:
        """Whether the site has a command for that."""
        return bool(self._commands.find)

    def look_up(self, job_id: str) -> dict[str, JobInfo]:
        """Ask for one job by its id, where the site says how; else for the list a second time."""
        if not self._commands.find:
            return self.jobs()
        try:
            text = self.run([*self._commands.find, job_id])
        except NoAnswer:
            raise
        except LaunchError as error:
            if re.search(self._commands.gone_pattern, error.message):
                return {}
            raise
        if re.search(self._commands.gone_pattern, text) or not text.strip():
            return {}
        return {job_id: JobInfo(Stage.WAITING, text)}

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too; one that has ended by itself meanwhile is no error."""
        try:
            self.run([*self._commands.cancel, *ids])
        except LaunchError:
            if set(ids) & self.jobs().keys():
                raise

    def _read(self, text: str) -> dict[str, JobInfo]:
        """The jobs of a list, each with all of its lines for a name; none where a line holds nothing but the id."""
        found: dict[str, JobInfo] = {}
        for line in text.splitlines():
            if job := self._id.search(line):
                lines = f"{found[job[1]].name}\n{line}" if job[1] in found else line
                found[job[1]] = JobInfo(Stage.WAITING, lines if len(lines.split()) > 1 else "", " ".join(line.split()))
        return found

    def is_there(self) -> bool:
        """Whether the site's commands are there; the one that submits may be a shell's."""
        return all(
            shutil.which(each[0]) for each in (self._commands.submit, self._commands.list, self._commands.cancel)
        )

    @classmethod
    def site_problem(cls, site: Site) -> str:
        """Whether the site lacks the commands."""
        if site.queue is None:
            return "needs the key queue with submit, list and cancel, as in configs/sites/sge.yaml and pbs.yaml"
        return ""

    @classmethod
    def diagnose(cls, site: Site, *, needed: bool) -> Iterator[Finding]:
        """Name the scheduler behind qsub or bsub, and try the site's command that lists its jobs."""
        yield from _find_queue(needed=needed)
        if site.queue is None:
            return
        commands = (("submit", site.queue.submit), ("list", site.queue.list), ("cancel", site.queue.cancel))
        absent = [f"{key}: {command[0]}" for key, command in commands if shutil.which(command[0]) is None]
        if absent:
            remedy = "log in where jobs are submitted, or change queue: in the site file"
            yield missing(cls.name, f"not on the PATH: {', '.join(absent)}", remedy, needed=needed)
            return
        listing, answer = " ".join(site.queue.list), ask(site.queue.list, seconds=DIAGNOSIS_S)
        if answer.ok:
            lines = len(answer.out.splitlines())
            yield ok(cls.name, f"{listing} answers with {lines} lines in {answer.seconds:.1f} s")
        else:
            yield missing(cls.name, answer.why, f"try {listing} by hand; the queue may be down", needed=needed)


def _find_queue(*, needed: bool) -> Iterator[Finding]:
    qsub = shutil.which("qsub")
    version = ask(["qstat", "--version"], seconds=DIAGNOSIS_S) if qsub else None
    if qsub and b"slurm" in Path(qsub).read_bytes()[:4096].lower():
        yield ok("qsub", "Slurm's imitation of it; use the launcher slurm")
    elif version and version.ok and "version" in version.first_line.lower():
        yield ok("qsub", f"PBS or Torque, {version.first_line}")
    elif qsub and shutil.which("qconf"):
        yield from _grid_engine()
    elif version:
        yield ok("qsub", f"of a kind that kbench does not know ({version.why or version.first_line})")
    if shutil.which("bsub"):
        yield ok("bsub", "LSF; configs/sites/lsf.yaml drives it")
    if not qsub and needed:
        yield ok("qsub", "neither Grid Engine nor PBS")


def _grid_engine() -> Iterator[Finding]:
    version = ask(["qstat", "-help"], seconds=DIAGNOSIS_S)
    if not version.ok:
        remedy = "SGE_ROOT and SGE_CELL say where it is; its qmaster may be down"
        yield missing("qsub", f"Grid Engine, {version.why}", remedy, needed=False)
        return
    yield ok("qsub", f"Grid Engine, {version.first_line}")
    environments = ask(["qconf", "-spl"], seconds=DIAGNOSIS_S)
    if environments.ok:
        yield ok("parallel env.", f"{', '.join(environments.out.split()) or 'none'}; options: ['-pe NAME SLOTS']")
