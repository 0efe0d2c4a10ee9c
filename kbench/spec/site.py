"""Where runs happen: how ranks are started, how many, with what around them."""

from typing import Annotated, Literal

from pydantic import Field

from kbench.spec.parse import Spec
from kbench.spec.ranges import Count

Words = tuple[Annotated[str, Field(strict=True)], ...]


class Site(Spec):
    """A machine or a part of one.  A site names no model, no data set and no strategy."""

    launcher: Literal["auto", "local", "mpirun"] = "auto"
    template: str = ""  # job script, found like an experiment; empty: the launcher's own
    nodes: Count = 1
    ranks_per_node: Count = 1
    threads_per_rank: Count | None = None  # None: this machine's cores, divided evenly
    hosts: Words = ()  # where mpirun starts ranks; empty: this machine
    mpirun: str = "mpirun"  # the command
    mpirun_options: Words = ("--oversubscribe", "--bind-to", "none")  # passed on as they are
    setup: Words = ()  # shell lines before the ranks start (module load ...)

    @property
    def ranks(self) -> int:
        """The world size."""
        return self.nodes * self.ranks_per_node
