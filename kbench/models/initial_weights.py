"""Start a model from the weights that another run ended with."""

from collections.abc import Mapping

from torch import Tensor, nn

from kbench.errors import WorkloadError


def load_initial_weights(model: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Take over the weights of a run on another data set, all but those of the last linear layer.

    That one answers another question, and keeps its fresh weights even where it has as many classes.

    Args:
        model: What is to be trained; changed in place.
        weights: The ``state_dict`` of the same model, with any number of classes.
        source: The run's name, for errors.

    Raises:
        WorkloadError: The weights do not fit, or the model has no linear layer.
    """
    head = last_linear(model)
    present = {name: value for name, value in model.state_dict().items() if not name.startswith(f"{head}.")}
    loaded = {name: value for name, value in weights.items() if not name.startswith(f"{head}.")}
    for name in sorted(present.keys() | loaded.keys()):
        shapes = [list(values[name].shape) if name in values else None for values in (loaded, present)]
        if shapes[0] != shapes[1] or None in shapes:
            raise WorkloadError(
                f"{source}: its weights do not fit: {name} is {shapes[0] or 'missing'} there, "
                f"{shapes[1] or 'missing'} here",
                hint="a pair and the one that it starts from need the same model and image_size",
            )
    model.load_state_dict(loaded, strict=False)


def last_linear(model: nn.Module) -> str:
    """The name of the linear layer that answers; raises WorkloadError where a model has none."""
    names: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise WorkloadError(
            f"{type(model).__name__}: has no linear layer at its end, so that nobody knows what to begin anew",
            hint="starts_from is for models that classify",
        )
    return names[-1]
