"""The site file: the machine where runs happen, how their ranks are started, and how many."""

import re
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from kbench.config.parse import Spec
from kbench.config.value_types import Count, Flag, Natural

GONE = (
    r"(?i)do(es)? not exist|unknown (job|id)|job\b.*\bnot found|no such job|no unfinished job|invalid job"
    r"|has (finished|ended)"
)
TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<h>\d+):(?P<m>[0-5]\d):(?P<s>[0-5]\d)")


def _one_line(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(f"must be one line without control characters, got {text!r}")
    return text


def _time(raw: Any) -> Any:
    if not (isinstance(raw, str) and TIME.fullmatch(raw)):
        raise ValueError(f"must be quoted and like '02:00:00' or '1-12:00:00', got {raw!r}")
    return raw


def _size(raw: Any) -> Any:
    if not (isinstance(raw, str) and re.fullmatch(r"[1-9]\d*[MGT]", raw)):
        raise ValueError(f"must be like 64G (M, G or T), got {raw!r}")
    return raw


Line = Annotated[str, Field(strict=True), AfterValidator(_one_line)]
Word = Annotated[Line, Field(min_length=1)]
Words = tuple[Word, ...]
Lines = tuple[Line, ...]


class Queue(Spec):
    """The commands of a scheduler that kbench does not know: to submit a script, to list jobs and to end them."""

    submit: Annotated[Words, Field(min_length=1)]  # the script's path is appended
    list: Annotated[
        Words, Field(min_length=1)
    ]  # prints a line per waiting or running job, with ten letters of its name
    cancel: Annotated[Words, Field(min_length=1)]  # job ids are appended
    find: Words = ()  # tells of one job, whose id is appended; empty: list is asked a second time
    gone_pattern: Annotated[Word, AfterValidator(lambda pattern: _pattern(pattern, groups=0))] = GONE  # then means so
    id_pattern: Annotated[Word, AfterValidator(lambda pattern: _pattern(pattern, groups=1))] = r"(\d+)"


def _pattern(pattern: str, *, groups: int) -> str:
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups and found != groups:
        raise ValueError(f"must have one group, the job id, got {pattern!r}")
    return pattern


class LauncherCatalogue(Protocol):
    """The launchers that there are; passed in as the context of the validation, as config knows no scheduler."""

    def launcher_problem(self, launcher: str) -> str:
        """What is wrong with the name of a launcher, as a sentence; empty when nothing."""

    def site_problem(self, site: "Site") -> str:
        """What a site lacks for its launcher, as a sentence; empty when nothing."""


class Site(Spec):
    """A machine or a part of one.  A site names no model, no data set and no strategy."""

    hostnames: Words = ()  # machines on which this site is taken when none is named, as patterns (login*.abci.local)
    launcher: Word = "auto"  # auto, local, mpirun, a scheduler, or package.module:Class of one
    template: Line = ""  # job script, found like an experiment; empty: the launcher's own
    nodes: Count = 1
    ranks_per_node: Count = 1
    threads_per_rank: Count | None = None  # None: cpus_per_rank, or this machine's cores divided evenly
    cpus_per_rank: Count | None = None  # that the scheduler is asked for; None: threads_per_rank, or its default
    gpus_per_node: Natural = 0  # that the scheduler is asked for, and that the ranks must find
    memory: Annotated[str, BeforeValidator(_size)] | None = None  # of each node: 64G
    time_limit: Annotated[str, BeforeValidator(_time)] | None = None  # of a job: '02:00:00'
    signal_s: Count = 120  # [s] before the time limit when a run is told to end after its epoch
    hang_limit_s: Count | None = None  # [s] without a step until a run is ended; None: ten slowest epochs, at least 600
    requeue: Flag = True  # whether a job that was interrupted may go back into the queue
    arrays: Flag = True  # one job array for many runs; else a job each
    partition: Line = ""
    account: Line = ""
    qos: Line = ""
    options: Words = ()  # passed on to the scheduler as they are (--constraint=v100)
    queue: Queue | None = None  # its commands, for a scheduler that has no other way
    hosts: Words = ()  # where mpirun starts ranks; empty: this machine
    hostfile: Line = ""  # the same, in a file of mpirun's
    mpirun: Word = "mpirun"  # the command
    mpirun_options: (
        Words
    ) = ()  # passed on as they are; not given: those that Open MPI needs to share cores, where it is that
    setup: Lines = ()  # shell lines before the ranks start (module load ...)
    container: Words = ()  # what stands before python (apptainer exec --nv image.sif)
    python: Line = ""  # in the container, or on the nodes; empty: the one that runs kbench
    network_interface: Line = ""  # over which the ranks talk (ib0)
    data_root: Line = ""  # where data sets lie; empty: $KBENCH_DATA
    scratch: Line = ""  # storage of a node's own, to which data is copied first; $VARIABLES are the job's; empty: not

    @property
    def ranks(self) -> int:
        """The world size."""
        return self.nodes * self.ranks_per_node

    @property
    def time_limit_s(self) -> int | None:
        """The time limit of a job [s]."""
        found = TIME.fullmatch(self.time_limit or "")
        if not found:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    @field_validator("launcher")
    @classmethod
    def _known(cls, launcher: str, info: ValidationInfo) -> str:
        catalogue: LauncherCatalogue | None = info.context
        if problem := catalogue.launcher_problem(launcher) if catalogue else "":
            raise ValueError(problem)
        return launcher

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> "Site":
        catalogue: LauncherCatalogue | None = info.context
        if problem := catalogue.site_problem(self) if catalogue else "":
            raise ValueError(problem)
        if self.hosts and self.hostfile:
            raise ValueError("hosts and hostfile say the same, give one of them")
        if self.time_limit_s and self.time_limit_s <= self.signal_s:
            raise ValueError(f"signal_s {self.signal_s} leaves nothing of the time limit {self.time_limit}")
        return self
