"""A method on trial among real ranks: what it breaks ends the run, in a sentence."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from kbench.conformance.finding import Finding
from kbench.conformance.witness import Witness
from kbench.engine.probe import ModelProbe
from kbench.errors import RankError, RunError
from kbench.strategies import load
from kbench.strategies.api import Batch, Draw, Epoch, EpochPlan, Measured, Phase, Probe, SampleStats, Strategy

ONE_OR_ALL = "whether select returned None"


@dataclass
class OnTrial(Strategy):
    """The method ``method`` with ``params``, watched on every rank."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._witness = Witness(lambda: load(self.method, self.params), _end, global_batch=1)

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        return self._witness.phases(epochs)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        return self._witness.plan(epoch, stats)

    def select(self, batch: Batch, probe: Probe) -> Tensor | Draw | None:
        kept = self._witness.select(batch, probe)
        if isinstance(probe, ModelProbe):
            try:
                probe.comm.agree(int(kept is None), ONE_OR_ALL)
            except RankError as error:
                hint = "return None on every rank or on none; return ones to keep all"
                raise RankError(error.message, hint=hint) from None
        return kept

    def observe(self, batch: Batch, measured: Measured) -> None:
        self._witness.observe(batch, measured)


def _end(finding: Finding) -> None:
    raise RunError(f"{finding.what} ({finding.where})", hint=finding.do)
