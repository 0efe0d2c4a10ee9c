"""Any other scheduler: SGE, PBS, LSF, ...; its commands are in the site file."""

import re
from collections.abc import Sequence
from pathlib import Path

from kbench.config import site
from kbench.errors import LaunchError
from kbench.launch.schedulers.base import Seen, Stage, ask

SUBMIT_PATIENCE_S = 120.0


class Queue:
    """A scheduler that takes scripts, lists jobs and ends them by commands of the site."""

    def __init__(self, commands: site.Queue) -> None:
        self._commands = commands
        self._id = re.compile(commands.id_pattern)

    def submit(self, script: Path, *, keep: Sequence[int] = ()) -> str:
        """Hand in a job script; returns the job's id as the site's pattern finds it."""
        said = ask([*self._commands.submit, str(script)], patience_s=SUBMIT_PATIENCE_S, keep=keep)
        found = self._id.search(said)
        if not found:
            raise LaunchError(
                f"{self._commands.submit[0]} prints no job id but {said.strip()[:80]!r}",
                hint="see queue.id_pattern in the site file",
            )
        return found[1]

    def jobs(self) -> dict[str, Seen]:
        """Every job that the list command shows; whether one runs, it says itself."""
        seen = {}
        for line in ask(self._commands.list).splitlines():
            found = self._id.search(line)
            if found:
                seen[found[1]] = Seen(Stage.WAITING, line, " ".join(line.split()))
        return seen

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, waiting ones too; one that ended by itself meanwhile is no error."""
        try:
            ask([*self._commands.cancel, *ids])
        except LaunchError:
            if set(ids) & self.jobs().keys():
                raise
