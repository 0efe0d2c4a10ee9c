"""Write failed.json for ranks that could not: ``python -m kbench.launch.failure STATUS RUN_DIR...``.

A job script calls it when its ranks have ended badly and left neither done.json nor failed.json:
killed by the system, or dead before Python was up.  Of several runs that took turns one is to blame.
In place of STATUS a sentence says what failed before they were started.
"""

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kbench import files
from kbench.errors import ResultsError
from kbench.records.folders import RunDir, begun_attempts
from kbench.records.run_files import Failure
from kbench.records.run_state import FailureKind

TAIL_BYTES = 20_000
NODE_LOST = re.compile(
    r"DUE TO NODE (\S+) FAILURE|Node failure on (\S+)"
    r"|Task launch for \S+ failed on node (\S+): (?:Communication connection failure|Zero Bytes)"
)
# What srun says in a job that Slurm has put back into the queue or ended meanwhile, while its script still lived.
ALLOCATION_GONE = re.compile(
    r"srun: .*(?:Unable to confirm allocation for job|Expired or invalid job|Job/step already completing or completed)"
)
KILLED = re.compile(r"srun: error: .*task[s ].*: Killed")  # srun itself then ends otherwise
BY_ITSELF = re.compile(r"srun: error: .*task[s ].*: (?!Terminated)")
OUT_OF_MEMORY = re.compile(r"oom[-_]kill|Out Of Memory|out-of-memory", re.IGNORECASE)


def main() -> None:
    """Write failed.json for the runs whose ranks ended with a status, or could not be started."""
    how, *places = sys.argv[1:]
    runs = [RunDir(Path(place)) for place in places]
    known = begun_attempts(runs)
    if how.isdecimal():
        write_all(runs, int(how), attempts=known)
        return
    for run in runs:
        hint = "mend setup: in the site file, then --retry"
        record(run, how, FailureKind.CANNOT_START, attempt=known.get(run), hint=hint)


def write_all(
    folders: Sequence[RunDir], status: int, *, since: int = 0, attempts: Mapping[RunDir, int] | None = None
) -> None:
    """Write failed.json for runs that took turns in one process: to blame is the one in whose turn it ended.

    Where none had its turn, they are all to blame: the process did not come so far.

    Args:
        folders: The runs; the ranks' own output went to the logs of the first.
        status: The exit status of the ranks.
        since: Where in stderr.log of the first they began [byte].
        attempts: Of the runs; without, and where one is missing, the latest that is on record.
    """
    known = attempts or {}
    in_turn = [folder for folder in folders if folder.turn.exists()]
    ended = [folder for folder in folders if folder.has_end()]
    for folder in folders:
        if folder in ended:
            continue
        if len(folders) > 1 and (in_turn or ended) and folder not in in_turn:
            blamed = (in_turn or ended)[0].run_id
            why = f"the process that it shared ended with {blamed}"
            record(folder, why, FailureKind.BLOCK_ENDED, attempt=known.get(folder))
        else:
            write(folder, status, since=since if folder == folders[0] else 0, attempt=known.get(folder))


def write(folder: RunDir, status: int, *, since: int = 0, attempt: int | None = None) -> None:
    """Write failed.json from the exit status of the ranks and the end of stderr.log, from the byte ``since`` on."""
    output = _tail(folder.stderr, since)
    lines = ("".join(filter(str.isprintable, line)).strip() for line in reversed(output.splitlines()))
    last = next(filter(None, lines), "")
    node = lost_node(folder, since=since)
    why, kind = cause(137 if KILLED.search(output) else status), FailureKind.DIED
    if node:
        why, kind = f"node {node} failed", FailureKind.NODE_FAILURE
    elif OUT_OF_MEMORY.search(output):
        why, kind = "a rank was killed because memory ran out", FailureKind.OUT_OF_MEMORY
    elif ALLOCATION_GONE.search(output):
        why, kind = "its job was put back into the queue, or ended, before its ranks started", FailureKind.PREEMPTED
    elif ended_from_outside(folder, status, since=since):
        why, kind = "its ranks were ended by the scheduler, the job was not", FailureKind.PREEMPTED
    elif 0 <= status <= 128 and (problem := files.lacks_room(folder.path)):
        record(folder, f"{why}; {folder.path}: {problem}", FailureKind.DISK_FULL, attempt=attempt)
        return
    hint = f"{folder.stderr} ends: {last}" if last else f"{folder.stderr} is empty"
    record(folder, why, kind, attempt=attempt, hint=hint, node=node)


def record(
    folder: RunDir, why: str, kind: FailureKind, *, attempt: int | None = None, hint: str | None = None,
    node: str | None = None,
) -> None:  # fmt: skip
    """Write failed.json for an attempt, the latest unless told otherwise, whose ranks could not write it.

    Where this cannot either, it is printed: whoever reads the run's status sees why nothing could be written.
    """
    latest = folder.read_attempt() or 1
    failure = Failure.of(why, kind=kind, attempt=latest if attempt is None else attempt, hint=hint, node=node)
    try:
        folder.fail(failure)
    except ResultsError as error:
        with suppress(OSError):
            print(f"error: {folder.run_id}: {why}; {error}", file=sys.stderr, flush=True)


def lost_its_block(folder: RunDir) -> bool:
    """Whether a run ended only because another one did, in the process that they shared."""
    end = Failure.read_if_whole(folder.path)
    return end is not None and end.kind is FailureKind.BLOCK_ENDED


def lost_node(folder: RunDir, *, since: int = 0) -> str | None:
    """The node that srun lost, by what it said."""
    found = NODE_LOST.search(_tail(folder.stderr, since))
    return next(filter(None, found.groups())) if found else None


def ended_from_outside(folder: RunDir, status: int, *, since: int) -> bool:
    """Whether srun's ranks all ended by SIGTERM, and none by itself; so preemption begins."""
    output = _tail(folder.stderr, since)
    return status in (143, -15) and "srun: " in output and not BY_ITSELF.search(output)


def _tail(path: Path, since: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(since, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def cause(status: int) -> str:
    """What a shell's exit status, or that of a process, says of what ended."""
    if status > 128 or status < 0:
        number = status - 128 if status > 0 else -status
        try:
            name = signal.Signals(number).name
        except ValueError:
            return f"a rank ended with status {status}"
        memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"a rank was killed by {name}{memory}"
    return f"a rank ended with status {status} and said nothing" if status else "its ranks left without a word"


if __name__ == "__main__":
    main()
