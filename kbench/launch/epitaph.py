"""The last words of a run whose ranks could not say any: ``python -m kbench.launch.epitaph RUN_DIR STATUS``.

A job script calls it when its ranks have ended badly and left neither done.json nor failed.json:
killed by the system, or dead before Python was up.
"""

import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from kbench.records.folders import RunDir

TAIL_BYTES = 20_000
NODE_LOST = re.compile(r"DUE TO NODE (\S+) FAILURE|Node failure on (\S+)")
KILLED = re.compile(r"srun: error: .*task[s ].*: Killed")  # srun itself then ends otherwise
OUT_OF_MEMORY = re.compile(r"oom[-_]kill|Out Of Memory|out-of-memory", re.IGNORECASE)


def main() -> None:
    """Write failed.json for a run whose ranks ended with a status."""
    write(RunDir(Path(sys.argv[1])), int(sys.argv[2]))


def write(folder: RunDir, status: int) -> None:
    """Write failed.json from the exit status of the ranks and the end of stderr.log."""
    said = _tail(folder.stderr)
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    lost = NODE_LOST.search(said)
    killed = KILLED.search(said)
    why, kind = cause(137 if killed else status), "Died"
    if lost:
        why, kind = f"node {lost[1] or lost[2]} failed", "NodeFailure"
    elif OUT_OF_MEMORY.search(said):
        why, kind = "a rank was killed because memory ran out", "OutOfMemory"
    folder.fail(
        {
            "error": why,
            "hint": f"{folder.stderr} ends: {last}" if last else f"{folder.stderr} is empty",
            "kind": kind,
            "exit_code": 5,
            "attempt": folder.attempt or 1,
            "node": (lost[1] or lost[2]) if lost else None,
            "ended_at": datetime.now(UTC).isoformat(),
        }
    )


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
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
