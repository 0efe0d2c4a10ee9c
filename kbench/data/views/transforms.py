"""Views of single images, as worker processes make them: from an image of any size to (3, size, size) uint8.

They draw from the global streams of torch, random and numpy, as their libraries do; SampleReader seeds
those for each sample.
"""

from collections.abc import Callable

from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

CROP_PERCENT = 0.875  # of the shorter side is kept by the centre crop, unless the recipe says otherwise: 224 of 256
RAND_AUGMENT = "rand-m9-mstd0.5-inc1"  # timm's name of its RandAugment, as DeiT uses it

Pipeline = Callable[[Image.Image], Tensor]


def pipeline(how: str, size: int, resize: int, mean: tuple[float, ...]) -> Pipeline:
    """Build the steps of an augmentation.

    Args:
        how: Its name.
        size: Side of the result [pixel].
        resize: Shorter side before the centre is cut out [pixel]; 0: so that 0.875 of it is kept.
        mean: timm's fill colour, per channel in [0, 1].

    Raises:
        ValueError: There is no such augmentation.
    """
    steps: list[Callable[..., object]]
    if how == "none":
        steps = [v2.Resize(resize or round(size / CROP_PERCENT)), v2.CenterCrop(size)]
    elif how in ("resized-crop", "trivial"):
        steps = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
        if how == "trivial":  # in this order in torchvision's references/classification/presets.py
            steps.append(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR))
    elif how in ("randaugment", "randaugment-flips"):
        steps = _timm(size, mean, vflip=0.5 if how.endswith("flips") else 0.0)
    else:
        raise ValueError(f"unknown augmentation {how!r}")
    composed: Pipeline = v2.Compose([*steps, v2.PILToTensor()])
    return composed


def _timm(size: int, mean: tuple[float, ...], *, vflip: float) -> list[Callable[..., object]]:
    """timm's training transforms up to the tensor: random resized crop, flips, RandAugment.

    timm leaves colour jitter out where RandAugment is asked for (timm 1.0, data/transforms_factory.py).
    """
    from timm.data.transforms_factory import create_transform

    first, second, _ = create_transform(
        (3, size, size),
        is_training=True,
        vflip=vflip,
        auto_augment=RAND_AUGMENT,
        interpolation="random",
        mean=mean or (0.5, 0.5, 0.5),
        separate=True,
    )
    return [first, second]
