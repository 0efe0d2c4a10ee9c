"""What a site asks of the machine that the doctor looks at."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from kbench.config.site import Site
from kbench.errors import KBenchError
from kbench.experiment.plan import resolved
from kbench.launch.diagnosis import Finding, missing, ok, warning
from kbench.launch.schedulers.registry import is_scheduler


@dataclass(frozen=True, kw_only=True)
class Need:
    """A site by its name, what its launcher means on this machine, and where results are to lie."""

    name: str
    site: Site
    results: Path
    launcher: str  # "auto" where this machine cannot do what the site asks
    chosen: Finding  # what the launcher means here, or why there is none

    @property
    def here(self) -> bool:
        """Whether ranks run on this very machine; a login node may lack what the others have."""
        return not self.on_others

    @property
    def on_others(self) -> bool:
        """Whether ranks run on other machines than this, which must see the same files."""
        return is_scheduler(self.launcher) or self.site.nodes > 1 or bool(self.site.hosts or self.site.hostfile)

    @property
    def python(self) -> list[str]:
        """The command that is Python to the ranks."""
        return [*self.site.container, self.site.python or sys.executable]

    def lacking(self, name: str, what: str, remedy: str) -> Finding:
        """What ranks will miss if they run here; what a login node lacks, the others may have."""
        if self.here:
            return missing(name, what, remedy, needed=True)
        return warning(name, f"{what}, on this node at least", remedy)

    def prepared(self, command: Sequence[str]) -> list[str]:
        """A command behind the site's setup lines, as in a job script."""
        if not self.site.setup:
            return list(command)
        checked = "[ $? -eq 0 ] || {{ echo {} >&2; exit 1; }}"
        lines = [
            part for line in self.site.setup for part in (line, checked.format(quote(f"setup line fails: {line}")))
        ]
        return ["bash", "-c", "\n".join([*lines, 'exec "$@"']), "bash", *command]


def need_of(path: Path, site: Site, *, results: Path) -> Need:
    """What the site of a file asks of this machine."""
    name = path.name.removesuffix(".yaml")
    try:
        launcher = resolved(site, launcher="auto", max_parallel=1).launcher
        means = f", here {launcher}" if site.launcher == "auto" else ""
        chosen = ok("site", f"{name}: {path}, launcher {site.launcher}{means}")
    except KBenchError as error:
        launcher = site.launcher
        chosen = missing("site", f"{name}: {path}, {error.message}", error.hint, needed=True)
    return Need(name=name, site=site, results=results, launcher=launcher, chosen=chosen)
