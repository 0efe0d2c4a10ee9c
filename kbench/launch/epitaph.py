"""The last words of a run whose ranks could not say any: ``python -m kbench.launch.epitaph RUN_DIR STATUS``.

A job script calls it when its ranks have ended badly and left neither done.json nor failed.json:
killed by the system, or dead before Python was up.
"""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from kbench.records.folders import RunDir


def main() -> None:
    """Write failed.json from the exit status of the ranks and the end of stderr.log."""
    folder, status = RunDir(Path(sys.argv[1])), int(sys.argv[2])
    said = folder.stderr.read_text(errors="replace").strip().splitlines() if folder.stderr.exists() else []
    folder.fail(
        {
            "error": cause(status),
            "hint": f"{folder.stderr} ends: {said[-1].strip()}" if said else f"{folder.stderr} is empty",
            "kind": "Died",
            "exit_code": 5,
            "attempt": folder.job.get("attempt", 1),
            "ended_at": datetime.now(UTC).isoformat(),
        }
    )


def cause(status: int) -> str:
    """What a shell's exit status says of the process that ended."""
    if status > 128:
        try:
            name = signal.Signals(status - 128).name
        except ValueError:
            return f"a rank ended with status {status}"
        memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"a rank was killed by {name}{memory}"
    return f"a rank ended with status {status} and said nothing"


if __name__ == "__main__":
    main()
