"""The last words of a run that could not say any itself."""

from datetime import UTC, datetime
from typing import Any

from kbench.errors import RunError
from kbench.records.folders import RunDir


def failure_record(run: RunDir, why: str, *, kind: str, hint: str, node: str | None = None) -> dict[str, Any]:
    """What failed.json is to hold: how the run's last attempt ended, in whose words, and what to do.

    ``node`` is one that failed, so that it can be avoided.
    """
    return {
        "error": why,
        "hint": hint,
        "kind": kind,
        "exit_code": RunError.exit_code,
        "attempt": run.attempt or 1,
        "node": node,
        "ended_at": datetime.now(UTC).isoformat(),
    }
