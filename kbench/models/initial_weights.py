"""Weights that another run ended with, as a model's beginning."""

from collections.abc import Mapping

from torch import Tensor, nn

from kbench.errors import WorkloadError


def begin_with(model: nn.Module, weights: Mapping[str, Tensor], *, whose: str) -> None:
    """Take over the weights of a run on another data set, all but the last linear layer.

    That one answers another question, and keeps its fresh weights even where it has as many classes.
    Raises WorkloadError when the rest does not fit.
    """
    head = last_linear(model)
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(f"{head}.")}
    theirs = {name: value for name, value in weights.items() if not name.startswith(f"{head}.")}
    for name in sorted(own.keys() | theirs.keys()):
        here, there = own.get(name), theirs.get(name)
        if here is None or there is None or here.shape != there.shape:
            told = [None if one is None else list(one.shape) for one in (here, there)]
            raise WorkloadError(
                f"{whose}: its weights do not fit: {name} is {told[1] or 'missing'} there, {told[0] or 'missing'} here",
                hint="a pair and the one that it starts from need the same model and image_size",
            )
    model.load_state_dict(theirs, strict=False)


def last_linear(model: nn.Module) -> str:
    """The name of the layer that answers; raises WorkloadError where a model has none."""
    names: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise WorkloadError(
            f"{type(model).__name__}: has no linear layer at its end, so that nobody knows what to begin anew",
            hint="starts_from is for models that classify",
        )
    return names[-1]
