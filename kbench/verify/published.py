"""What the papers and their authors' code say of a pair: sizes of models, and learning rates restated from the code."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Rate = Callable[[int, int, int], float]  # epoch from 0, batch of it from 0, batches of an epoch -> learning rate
K = "TruongThaoNguyen/kakurenbo @6cb9f88"
C = "angelajiang/SelectiveBackprop @7c41937"
F = "angelajiang/pytorch-cifar @005f63c"
A = "zhangjiong724/autoassist-exp @9007a14"
G = "masora1030/CVPR2023-FDSL-on-VisualAtom @de80c69"
H = "mlcommons/hpc @2c627d4"


class ModelFigure(NamedTuple):
    """Parameters of a model as published, or as its authors' code builds it."""

    parameters: int
    source: str
    gflop: float | None = None  # forward, of a sample: a multiplication with its addition counts as 2
    why: str = ""  # why kbench's differs, where it does, and what follows from that
    side: int = 0  # [pixel] of the images that it is for; 0: those of the pair


MODELS = {  # by model and number of classes
    ("resnet18-cifar", 10): ModelFigure(11_173_962, f"{C} model/resnet.py, counted"),
    ("resnet18-mnist", 10): ModelFigure(11_175_370, f"{A} resnet_mnist.py, counted"),
    ("wrn-28-10", 10): ModelFigure(36_479_194, "arXiv:1605.07146, Table 1: 36.5 M; its code, counted", 10.4868),
    ("wrn-28-10", 100): ModelFigure(36_536_884, f"{C} model/wide_resnet.py, counted", 10.4868),
    ("wrn-28-10-kakurenbo", 100): ModelFigure(36_546_980, f"{K} models/wideresidual.py, counted", 10.4868),
    ("wrn-28-10-kakurenbo", 10): ModelFigure(36_489_290, f"{K} models/wideresidual.py, counted", 10.4868),
    ("wrn-16-8", 10): ModelFigure(10_961_370, f"{C} model/wide_resnet.py, counted"),
    ("densenet121-cifar", 10): ModelFigure(6_956_298, f"{F} models/densenet.py, counted"),
    ("mobilenetv2-cifar", 10): ModelFigure(2_296_922, f"{F} models/mobilenetv2.py, counted"),
    ("torchvision:resnet50", 1000): ModelFigure(25_557_032, "torchvision's table of models", 8.178, side=224),
    ("timm:efficientnet_b3", 1000): ModelFigure(12_233_232, "torchvision's table of models (arXiv:1905.11946: 12 M)"),
    ("timm:deit_tiny_patch16_224", 1000): ModelFigure(5_717_416, "arXiv:2012.12877, Table 1: 5 M; timm, counted"),
    ("timm:deit_tiny_patch16_224", 3000): ModelFigure(6_103_416, "timm's with a head of 3,000 classes, counted"),
    ("deepcam", 3): ModelFigure(
        56_454_720,
        f"{H} architecture/deeplab_xception.py, counted",
        655.3,
        "batch norms of timm and 256 low-level channels for 128: 98,800 parameters and 0.1 % of the operations more, "
        "24 % more activations between convolutions and norms, and so more memory and time",
    ),
}


@dataclass(frozen=True)
class RateFigure:
    """A learning rate as the authors' code sets it."""

    rate: Rate
    source: str
    why: str = ""  # where kbench's is another, and what follows from that


def horovod(peak: float, *, ranks: int, warmup: int, drops: dict[int, float]) -> Rate:
    """The ``adjust_learning_rate`` of Horovod's examples, as in KAKURENBO's code: from the rate of one rank."""

    def rate(epoch: int, batch: int, n_batches: int) -> float:
        if epoch < warmup:
            return peak / ranks * ((epoch + (batch + 1) / n_batches) * (ranks - 1) / warmup + 1)
        return peak * min([1.0, *(factor for start, factor in drops.items() if epoch >= start)])

    return rate


def timm_cosine(peak: float, *, low: float, epochs: int, warmup: float, first: float, by_update: bool = False) -> Rate:
    """timm's CosineLRScheduler without a prefix: a line from ``first``, then a cosine over all epochs."""

    def rate(epoch: int, batch: int, n_batches: int) -> float:
        at = epoch + batch / n_batches if by_update else float(epoch)
        if at < warmup:
            return first + at * (peak - first) / warmup
        return low + (peak - low) * (1 + math.cos(math.pi * at / epochs)) / 2

    return rate


def multistep(peak: float, *, milestones: tuple[int, ...], gamma: float) -> Rate:
    """torch's MultiStepLR, by epoch."""
    return lambda epoch, batch, n_batches: peak * gamma ** sum(epoch >= milestone for milestone in milestones)


def mlperf(peak: float, *, warmup: int, milestones: tuple[int, ...]) -> Rate:
    """MLPerf HPC's DeepCAM, by step: a line from 0, milestones that count from its end; a tenth at each."""

    def rate(epoch: int, batch: int, n_batches: int) -> float:
        step = epoch * n_batches + batch
        if step < warmup:
            return peak * step / warmup
        return float(peak * 0.1 ** sum(step >= warmup + milestone for milestone in milestones))

    return rate


_WRN = RateFigure(
    horovod(0.8, ranks=32, warmup=1, drops={60: 0.2, 120: 0.04, 160: 0.008}),
    f"{K} pytorch_cifar100_WRN-28-10.py, adjust_learning_rate",
)
_IMAGENET = f"{K} pytorch_imagenet_resnet50.py, adjust_learning_rate"
_DROPS = {30: 0.1, 60: 0.01, 80: 0.001}
_SB = f"{C}: arXiv:1910.00762v1, section 5.1"
_GROUP = timm_cosine(0.015, low=1.5e-5, epochs=1000, warmup=10, first=1.5e-6)
_GROUP_WHY = "theirs steps at the end of an epoch, kbench's moves within it"
RATES = {  # by experiment and the beginning of a pair's name; the longest that fits
    ("cifar100-wrn28-10", ""): _WRN,
    ("cifar10-wrn28-10", ""): _WRN,
    ("imagenet-resnet50", ""): RateFigure(horovod(0.8, ranks=32, warmup=5, drops=_DROPS), _IMAGENET),
    ("imagenet-efficientnet-b3", ""): RateFigure(horovod(0.4, ranks=32, warmup=5, drops=_DROPS), _IMAGENET),
    ("imagenet-resnet50-long", ""): RateFigure(
        timm_cosine(3.52, low=1e-5, epochs=600, warmup=5, first=1e-6),
        f"{K} pytorch_imagenet_resnet50_optim_v2.py: CosineLRSchedulerX",
        "theirs steps by epoch, so that each epoch of the warm-up stays a fifth of the peak behind on its way",
    ),
    ("fractal3k-deit-tiny", "deit-tiny-fractal3k"): RateFigure(
        timm_cosine(1e-3, low=1e-5, epochs=80, warmup=5000 * 512 / 3_000_000, first=1e-6, by_update=True),
        f"{K} VisualAtom/scripts, cosine_iter",
    ),
    ("fractal3k-deit-tiny", "deit-tiny-cifar"): RateFigure(
        _GROUP,
        f"{G} finetune.py, configs/model/vit.yaml (vit-group)",
        "this reading takes the printed rate, which the group's scripts scale by 768 / 512, and lays the cosine behind "
        "the warm-up: its rate integrates to two thirds",
    ),
    ("fractal3k-deit-tiny", "deit-tiny-cifar10-"): RateFigure(_GROUP, f"{G} finetune.py, vit.yaml", _GROUP_WHY),
    ("fractal3k-deit-tiny", "deit-tiny-cifar100-"): RateFigure(_GROUP, f"{G} finetune.py, vit.yaml", _GROUP_WHY),
    ("autoassist", ""): RateFigure(multistep(5e-4, milestones=(), gamma=1.0), f"{A} scripts/run_autoassist"),
    ("deepcam", "deepcam-lamb-2048"): RateFigure(
        mlperf(5.5e-3, warmup=400, milestones=(800,)),
        f"{H} rcps_deepcam; scheduler built with last_epoch 0",
        "a step more or less before the rate drops, as the file names its milestone in epochs",
    ),
    ("deepcam", "deepcam-"): RateFigure(
        mlperf(1e-3, warmup=0, milestones=(8191, 16383)), f"{H} rcps_deepcam; scheduler built with last_epoch 0"
    ),
    ("deepcam-cosine", ""): RateFigure(
        lambda epoch, batch, n: 1.55e-3 * (1 + math.cos(math.pi * min(1.0, (epoch * n + batch) / 9000))) / 2,
        "mlperf-logging, hpc_2.0.0, deepcam_ref_128",
        "theirs ends after 9,000 steps, 9.5 epochs, and kbench's with epoch 10: 5 % more of the rate, in its tail",
    ),
}
_SB_SCHEDULES: dict[str, tuple[float, tuple[int, ...], tuple[int, ...]]] = {  # gamma, milestones of lr1 and of lr2
    "sb-cifar10": (0.2, (60, 120, 160), (48, 96, 128)),
    "sb-cifar100": (0.1, (60, 120), (48, 96)),
    "sb-svhn": (0.1, (60, 120), (48, 96)),
}
for _experiment, (_gamma, *_both) in _SB_SCHEDULES.items():
    for _name, _milestones in zip(("lr1", "lr2"), _both, strict=True):
        RATES[_experiment, _name] = RateFigure(multistep(0.1, milestones=_milestones, gamma=_gamma), _SB)


def rate_figure(experiment: str, pair: str) -> RateFigure | None:
    """The published rate of a pair; None where none was published."""
    if experiment.startswith("sb-"):
        name = pair.rpartition("-")[2]
        return RATES.get((experiment, name))
    fits = [head for of, head in RATES if of == experiment and pair.startswith(head)]
    return RATES[experiment, max(fits, key=len)] if fits else None
