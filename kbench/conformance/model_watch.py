"""A watch over weights and buffers while a method looks at the model."""

import torch
from torch import Tensor

from kbench.engine.learner import Learner
from kbench.engine.probe import ModelProbe
from kbench.strategies.api import Probe


class ModelWatch:
    """Knows the model from the last probe that passed by."""

    def __init__(self) -> None:
        self._learner: Learner | None = None
        self._before: dict[str, Tensor] = {}

    def meet(self, probe: Probe) -> None:
        """Learn which model is in training."""
        if isinstance(probe, ModelProbe):
            self._learner = probe.learner

    def begin(self) -> None:
        """Note the model as it is."""
        self._before = {name: value.clone() for name, value in self._state().items()}

    def moved(self) -> list[str]:
        """The weights and buffers that are not what they were; they are put back."""
        state = self._state()
        names = [name for name, value in self._before.items() if not torch.equal(state[name], value)]
        with torch.no_grad():
            for name in names:
                state[name].copy_(self._before[name])
        return names

    def _state(self) -> dict[str, Tensor]:
        return dict(self._learner.module.state_dict()) if self._learner else {}
