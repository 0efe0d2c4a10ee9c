"""Build a model from its name: of MODELS, timm, torchvision or one's own; fresh, or with another run's weights."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kbench.config import own_code
from kbench.errors import ConfigError, WorkloadError
from kbench.models.registry import MODELS, TIMM, TORCHVISION

Shape = tuple[int, int, int]
IN_TIMM = {"dropout": "drop_rate", "drop_path": "drop_path_rate"}
IN_TORCHVISION = {"dropout": "dropout", "drop_path": "stochastic_depth_prob"}
AUXILIARY = ("googlenet", "inception_v3")  # would answer with several outputs while they train


def build_model(
    name: str, shape: Shape, n_classes: int, *, dropout: float | None = None, drop_path: float | None = None
) -> nn.Module:
    """Build a model with fresh weights from torch's global random stream.

    Args:
        name: One of MODELS, ``timm:NAME``, ``torchvision:NAME``, ``package.module:Name`` or an entry point.
        shape: Channels, height and width of the images.
        n_classes: Number of its outputs, for each sample or each pixel.
        dropout: Probability, in [0, 1); None leaves it to the model.
        drop_path: Probability that a block is left out, in [0, 1); None leaves it to the model.

    Raises:
        ConfigError: A model of one's own cannot be loaded.
        WorkloadError: The model cannot be built for such images, or does not take an option.
    """
    given = {"dropout": dropout, "drop_path": drop_path}
    options = {key: value for key, value in given.items() if value is not None}
    try:
        if name.startswith(TIMM):
            return _of_timm(name.removeprefix(TIMM), shape, n_classes, options)
        if name.startswith(TORCHVISION):
            return _of_torchvision(name.removeprefix(TORCHVISION), shape, n_classes, options)
        if name in MODELS:
            return _called(pkgutil.resolve_name(MODELS[name].target), shape, n_classes, options)
        return _own(name, shape, n_classes, options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        wanted = " ".join([f"images of {'x'.join(map(str, shape))}", *(f"{k} {v:g}" for k, v in options.items())])
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkloadError(f"model {name}: cannot be built for {wanted}: {why}") from error


def classifier(model: nn.Module, n_classes: int) -> nn.Linear | None:
    """The linear layer that a model ends in, with an output for each class; None where it ends otherwise."""
    layers = _linear_layers(model)
    return layers[-1][1] if layers and layers[-1][1].out_features == n_classes else None


def _linear_layers(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers of a model with their names, in its order."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def n_features(name: str, shape: Shape, n_classes: int) -> int:
    """The length of the input of a model's last linear layer, 0 without one; nothing is allocated for it."""
    with torch.device("meta"):
        layer = classifier(build_model(name, shape, n_classes), n_classes)
    return layer.in_features if layer else 0


def has_batchnorm(name: str, shape: Shape, n_classes: int) -> bool:
    """Whether a model normalises by what else is in a batch; nothing is allocated to find out."""
    with torch.device("meta"):
        return normalises_batches(build_model(name, shape, n_classes))


def normalises_batches(model: nn.Module) -> bool:
    """Whether a layer of a model normalises by what else is in a batch."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def _called(target: Callable[..., nn.Module], shape: Shape, n_classes: int, options: dict[str, float]) -> nn.Module:
    parameters = inspect.signature(target).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    unknown = set() if takes_any else options.keys() - parameters.keys()
    if unknown:
        raise TypeError(f"it has no {' and no '.join(sorted(unknown))}")
    return target(shape, n_classes, **options)


def _own(name: str, shape: Shape, n_classes: int, options: dict[str, float]) -> nn.Module:
    target = own_code.target_of(name, own_code.MODELS)
    if target is None:
        raise ConfigError(f"unknown model {name!r}", hint="kbench list models has those that there are")
    call = own_code.load(target, "model")
    try:
        model = _called(call, shape, n_classes, options)
    except Exception as error:  # a class of somebody's may raise anything
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"it must be a torch.nn.Module, got {type(model).__name__}")
    return model


def _of_timm(name: str, shape: Shape, n_classes: int, options: dict[str, float]) -> nn.Module:
    import timm

    arguments: dict[str, Any] = {IN_TIMM[key]: value for key, value in options.items()}
    config = timm.get_pretrained_cfg(name)
    if config and config.fixed_input_size and tuple(config.input_size[1:]) != shape[1:]:
        arguments["img_size"] = shape[1:]
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes, in_chans=shape[0], **arguments)
    if getattr(getattr(model, "patch_embed", None), "num_patches", 1) == 0:  # it would train without seeing anything
        raise ValueError("no patch fits into them")
    return model


def _of_torchvision(name: str, shape: Shape, n_classes: int, options: dict[str, float]) -> nn.Module:
    from torchvision.models import get_model

    if shape[0] != 3:
        raise ValueError("torchvision's models take three channels")
    arguments: dict[str, Any] = {IN_TORCHVISION[key]: value for key, value in options.items()}
    if name in AUXILIARY:
        arguments |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        arguments["image_size"] = shape[1]
    model: nn.Module = get_model(name, weights=None, num_classes=n_classes, **arguments)
    return model


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
    layers = _linear_layers(model)
    if not layers:
        raise WorkloadError(
            f"{type(model).__name__}: has no linear layer at its end, so that nobody knows what to begin anew",
            hint="starts_from is for models that classify",
        )
    return layers[-1][0]
