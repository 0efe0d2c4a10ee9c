"""Build a model from its name: one of MODELS, of timm or of torchvision, always untrained."""

import importlib
import inspect
from typing import Any

from torch import nn

from kbench.errors import WorkloadError
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
        name: One of MODELS, ``timm:NAME`` or ``torchvision:NAME``.
        shape: Channels, height and width of the images.
        n_classes: Number of its outputs, for each sample or each pixel.
        dropout: Probability, in [0, 1); None leaves it to the model.
        drop_path: Probability that a block is left out, in [0, 1); None leaves it to the model.

    Raises:
        WorkloadError: The model cannot be built for such images, or does not take an option.
    """
    given = {"dropout": dropout, "drop_path": drop_path}
    options = {key: value for key, value in given.items() if value is not None}
    try:
        if name.startswith(TIMM):
            return _of_timm(name.removeprefix(TIMM), shape, n_classes, options)
        if name.startswith(TORCHVISION):
            return _of_torchvision(name.removeprefix(TORCHVISION), shape, n_classes, options)
        return _registered(name, shape, n_classes, options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        wanted = " ".join([f"images of {'x'.join(map(str, shape))}", *(f"{k} {v:g}" for k, v in options.items())])
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkloadError(f"model {name}: cannot be built for {wanted}: {why}") from error


def _registered(name: str, shape: Shape, n_classes: int, options: dict[str, float]) -> nn.Module:
    module, _, attribute = MODELS[name].target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    unknown = options.keys() - inspect.signature(target).parameters.keys()
    if unknown:
        raise TypeError(f"it has no {' and no '.join(sorted(unknown))}")
    model: nn.Module = target(shape, n_classes, **options)
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
