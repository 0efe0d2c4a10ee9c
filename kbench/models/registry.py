"""The models that experiments can name.  A library is imported only for names that begin with its own.

A model of one's own is ``package.module:Name``, or the name of an entry point of the group ``kbench.models``: called
as ModelInfo says.
"""

from dataclasses import dataclass
from typing import Literal

from kbench.config import own_code
from kbench.config.parse import did_you_mean
from kbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is known of a model before it is built."""

    # "module:function": called with (shape, n_classes), and with dropout or drop_path where a recipe sets them
    target: str
    about: str  # one sentence
    task: Literal["classification", "segmentation"] = "classification"  # what it answers


MODELS = {
    "digits-cnn": ModelInfo(
        target="kbench.models.digits:DigitsCNN",
        about="three 3x3 convolutions with batch normalisation for images of about 8x8",
    ),
    "wrn-28-10": ModelInfo(
        target="kbench.models.wide_resnet:wrn_28_10",
        about="WideResNet-28-10 for images of about 32x32, 36.5 M parameters; takes dropout",
    ),
    "wrn-28-10-kakurenbo": ModelInfo(
        target="kbench.models.wide_resnet:wrn_28_10_kakurenbo",
        about="the same as KAKURENBO's authors build it: biases, raw shortcuts, torch's initial weights; takes dropout",
    ),
    "fashion-cnn": ModelInfo(
        target="kbench.models.small_images:FashionCNN",
        about="three 3x3 convolutions, two of them strided, for images of 28x28 on a CPU, 24,058 parameters",
    ),
    "wrn-16-4": ModelInfo(
        target="kbench.models.wide_resnet:wrn_16_4",
        about="WideResNet-16-4 for images of about 32x32, 2.7 M parameters; takes dropout",
    ),
    "wrn-16-8": ModelInfo(
        target="kbench.models.wide_resnet:wrn_16_8",
        about="WideResNet-16-8 for images of about 32x32, 11.0 M parameters; takes dropout",
    ),
    "resnet18-cifar": ModelInfo(
        target="kbench.models.small_images:resnet18_cifar",
        about="ResNet-18 with a 3x3 stem for images of about 32x32, 11.2 M parameters",
    ),
    "resnet18-mnist": ModelInfo(
        target="kbench.models.small_images:resnet18_mnist",
        about="ResNet-18 with a 7x7 stem of stride 1 for images of 28x28, 11.2 M parameters",
    ),
    "densenet121-cifar": ModelInfo(
        target="kbench.models.small_images:densenet121_cifar",
        about="DenseNet-121 with a 3x3 stem for images of about 32x32, 7.0 M parameters",
    ),
    "mobilenetv2-cifar": ModelInfo(
        target="kbench.models.mobilenet:MobileNetV2",
        about="MobileNetV2 with strides for images of about 32x32, 2.3 M parameters",
    ),
    "deepcam": ModelInfo(
        target="kbench.models.deepcam:DeepLabXception",
        about="DeepLabv3+ on Xception-65 with MLPerf HPC's decoder, 56.6 M parameters; a class for each pixel",
        task="segmentation",
    ),
}

TIMM = "timm:"  # prefix of any model that timm can build, untrained
TORCHVISION = "torchvision:"  # prefix of any classifier that torchvision can build, untrained


def problem(name: str) -> str:
    """Say what is wrong with a model's name, with the nearest one; empty where there is such a model."""
    if name.startswith(TIMM):
        return _unknown(name, TIMM, _timm())
    if name.startswith(TORCHVISION):
        return _unknown(name, TORCHVISION, _torchvision())
    if name not in MODELS and (target := own_code.target_of(name, own_code.MODELS)):
        if own_code.is_there(target) or not did_you_mean(name, [f"{TIMM}NAME", f"{TORCHVISION}NAME"], strict=True):
            return _loading_problem(target)
    if name in MODELS:
        return ""
    known = [*MODELS, *own_code.installed(own_code.MODELS), f"{TIMM}NAME", f"{TORCHVISION}NAME"]
    return f"unknown model {name!r}{did_you_mean(name, known)}"


def _loading_problem(target: str) -> str:
    try:
        found = own_code.load(target, "model")
    except ConfigError as error:
        return error.with_hint
    return "" if callable(found) else f"model {target!r} must be called with (shape, n_classes), got {type(found)}"


def _unknown(name: str, prefix: str, names: list[str]) -> str:
    short = name.removeprefix(prefix).split(".")[0]  # what stands behind a dot names weights
    return "" if short in names else f"unknown model {name!r}{did_you_mean(short, names, strict=True)}"


def _timm() -> list[str]:
    import timm

    return list(timm.list_models())


def _torchvision() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))
