"""Views of single images, as worker processes make them: from an image of any size to (3, size, size) uint8.

They draw from the global streams of torch, random and numpy, as their libraries do; SampleReader seeds
those for each sample.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

CROP_PERCENT = 0.875  # of the shorter side is kept by the centre crop, unless the recipe says otherwise: 224 of 256
RAND_AUGMENT = "rand-m9-mstd0.5-inc1"  # timm's name of its RandAugment, as DeiT uses it

JITTER = 0.4  # of brightness, contrast and saturation: timm's default, where no RandAugment takes its place
BILINEAR, BICUBIC = v2.InterpolationMode.BILINEAR, v2.InterpolationMode.BICUBIC

Pipeline = Callable[[Image.Image], Tensor]


@lru_cache(maxsize=8)
def pipeline(how: str, size: int, resize: int, mean: tuple[float, ...], interpolation: str = "") -> Pipeline:
    """Build the steps of an augmentation.

    Args:
        how: Its name.
        size: Side of the result [pixel].
        resize: Shorter side before the centre is cut out [pixel]; 0: so that 0.875 of it is kept.
        mean: timm's fill colour, per channel in [0, 1].
        interpolation: bilinear, bicubic, or random for one of the two by image; empty: the augmentation's own,
            random for timm's and bilinear for the rest.

    Raises:
        ValueError: There is no such augmentation.
    """
    steps: list[Callable[..., object]]
    mode = BICUBIC if interpolation == "bicubic" else BILINEAR
    if how == "none":
        steps = [v2.Resize(resize or round(size / CROP_PERCENT), interpolation=mode), v2.CenterCrop(size)]
    elif how in ("resized-crop", "trivial"):
        crop = v2.RandomResizedCrop(size, interpolation=mode, antialias=True)
        steps = [_random_crop(size) if interpolation == "random" else crop, v2.RandomHorizontalFlip()]
        if how == "trivial":  # in this order in torchvision's references/classification/presets.py
            steps.append(v2.TrivialAugmentWide(interpolation=BILINEAR))
    elif how == "color-jitter":
        steps = _timm(size, mean, interpolation, vflip=0.0, auto_augment=None)
    elif how in ("randaugment", "randaugment-flips"):
        steps = _timm(size, mean, interpolation, vflip=0.5 if how.endswith("flips") else 0.0, auto_augment=RAND_AUGMENT)
    else:
        raise ValueError(f"unknown augmentation {how!r}")
    composed: Pipeline = v2.Compose([*steps, v2.PILToTensor()])
    return composed


def _random_crop(size: int) -> Callable[..., object]:
    """timm's random resized crop, bilinear or bicubic by image."""
    from timm.data.transforms import RandomResizedCropAndInterpolation

    make: Callable[..., Callable[..., object]] = RandomResizedCropAndInterpolation
    return make(size, interpolation="random")


def _timm(
    size: int, mean: tuple[float, ...], interpolation: str, *, vflip: float, auto_augment: str | None
) -> list[Callable[..., object]]:
    """timm's training transforms up to the tensor: random resized crop, flips, RandAugment or colour jitter.

    timm leaves colour jitter out where RandAugment is asked for (timm 1.0, data/transforms_factory.py).
    """
    from timm.data.transforms_factory import create_transform

    first, second, _ = create_transform(
        (3, size, size),
        is_training=True,
        vflip=vflip,
        color_jitter=JITTER,
        auto_augment=auto_augment,
        interpolation=interpolation or "random",
        mean=mean or (0.5, 0.5, 0.5),
        separate=True,
    )
    return [first, with_black_of_no_bits(second)]


def with_black_of_no_bits(steps: Any) -> Any:
    """timm's steps, of which posterizing to no bit makes an image black, as Pillow did before it refused to.

    With a magnitude of 10, which RandAugment draws in one case of 44, timm's posterizing keeps no bit.
    """
    from timm.data import auto_augment

    original: Callable[..., Image.Image] = auto_augment.posterize

    def posterize(image: Image.Image, bits_to_keep: int, **kwargs: Any) -> Image.Image:
        return original(image, bits_to_keep, **kwargs) if bits_to_keep > 0 else image.point(lambda _: 0)

    for step in getattr(steps, "transforms", ()):
        for operation in getattr(step, "ops", ()):
            if operation.aug_fn is original:
                operation.aug_fn = posterize
    return steps
