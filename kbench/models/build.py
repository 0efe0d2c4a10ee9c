"""From a model's name to the model: ours, timm's or torchvision's, always untrained."""

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
    """Build a model for images of ``shape`` (channels, height, width), with fresh weights.

    ``name`` is one of MODELS, ``timm:NAME`` or ``torchvision:NAME``.  None leaves ``dropout`` and
    ``drop_path`` to the model.  Raises WorkloadError where a model cannot be had like that.
    """
    options = {"dropout": dropout, "drop_path": drop_path}
    asked = {key: value for key, value in options.items() if value is not None}
    try:
        if name.startswith(TIMM):
            return _of_timm(name.removeprefix(TIMM), shape, n_classes, asked)
        if name.startswith(TORCHVISION):
            return _of_torchvision(name.removeprefix(TORCHVISION), shape, n_classes, asked)
        return _ours(name, shape, n_classes, asked)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        wanted = " ".join([f"images of {'x'.join(map(str, shape))}", *(f"{k} {v:g}" for k, v in asked.items())])
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkloadError(f"model {name}: cannot be built for {wanted}: {why}") from error


def _ours(name: str, shape: Shape, n_classes: int, asked: dict[str, float]) -> nn.Module:
    module, _, attribute = MODELS[name].target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    strays = asked.keys() - inspect.signature(target).parameters.keys()
    if strays:
        raise TypeError(f"it has no {' and no '.join(sorted(strays))}")
    built: nn.Module = target(shape, n_classes, **asked)
    return built


def _of_timm(name: str, shape: Shape, n_classes: int, asked: dict[str, float]) -> nn.Module:
    import timm

    options: dict[str, Any] = {IN_TIMM[key]: value for key, value in asked.items()}
    config = timm.get_pretrained_cfg(name)
    if config and config.fixed_input_size and tuple(config.input_size[1:]) != shape[1:]:
        options["img_size"] = shape[1:]
    built: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes, in_chans=shape[0], **options)
    if getattr(getattr(built, "patch_embed", None), "num_patches", 1) == 0:  # it would train without seeing anything
        raise ValueError("no patch fits into them")
    return built


def _of_torchvision(name: str, shape: Shape, n_classes: int, asked: dict[str, float]) -> nn.Module:
    from torchvision.models import get_model

    if shape[0] != 3:
        raise ValueError("torchvision's models take three channels")
    options: dict[str, Any] = {IN_TORCHVISION[key]: value for key, value in asked.items()}
    if name in AUXILIARY:
        options |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        options["image_size"] = shape[1]
    built: nn.Module = get_model(name, weights=None, num_classes=n_classes, **options)
    return built
