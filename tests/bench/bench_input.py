"""The input path beside torchvision's: images per second of kbench's views and of a plain DataLoader, in turn.

``python tests/bench/bench_input.py [cpu|cuda] [WORKERS]``: CIFAR-like arrays (pad 4, crop, flip, normalise) and JPEG
files of 500x375 (random resized crop to 224, flip).  Both sides see the same images and bring them to the device.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from kbench.data.loader import Arrays, SampleReader
from kbench.data.store import prepare
from kbench.data.views.spec import ViewSpec

TURNS, BATCH = 7, 128
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
Turn = Callable[[], float]


def rate(batches: Iterable[torch.Tensor], device: torch.device) -> float:
    """Images per second of a pass over batches that lie on the device."""
    started, n = time.perf_counter(), 0
    for x in batches:
        n += len(x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return n / (time.perf_counter() - started)


class Crops(TensorDataset):
    """torchvision's way with arrays: one PIL image after another."""

    transform = v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def __getitem__(self, i: int) -> torch.Tensor:
        image: torch.Tensor = self.transform(Image.fromarray(self.tensors[0][i].numpy()))
        return image


def arrays(device: torch.device, workers: int) -> tuple[Turn, Turn]:
    """50,000 images of 32x32: kbench's turn and the DataLoader's."""
    x = torch.randint(256, (50_000, 3, 32, 32), dtype=torch.uint8)
    ours = Arrays(x, torch.zeros(len(x), dtype=torch.long)).to(device)
    view = ViewSpec(augment="crop-flip", key=1, mean=MEAN, std=STD)
    order = torch.randperm(len(x), device=device)
    loader = DataLoader(
        Crops(x.permute(0, 2, 3, 1).contiguous()[:10_000]),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    return (
        lambda: rate((seen for _, seen, _ in ours.batches(order.split(BATCH), view)), device),
        lambda: rate((seen.to(device, non_blocking=True) for seen in loader), device),
    )


def files(folder: Path, device: torch.device, workers: int) -> tuple[Turn, Turn]:
    """1,000 JPEG files of photographs' size: kbench's turn and the DataLoader's."""
    rng = np.random.default_rng(0)
    for i in range(1000):
        path = folder / "photos" / ("val" if i < 4 else "train") / f"class{i % 4}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((500, 375)).save(path, quality=90)
    prepare.prepare("folder:photos", root=str(folder), given=None, download=False, workers=1, report=lambda _: None)
    train = prepare.open_dataset("folder:photos", str(folder)).train
    assert isinstance(train, SampleReader)
    ours = SampleReader(train.reader, device, workers)
    view = ViewSpec(augment="resized-crop", key=1, size=224, mean=MEAN, std=STD)
    order = torch.randperm(len(ours))
    plain = v2.Compose(
        [
            v2.RandomResizedCrop(224),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(folder / "photos" / "train"), plain),
        64,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    return (
        lambda: rate((seen for _, seen, _ in ours.batches(order.split(64), view)), device),
        lambda: rate((seen.to(device, non_blocking=True) for seen, _ in loader), device),
    )


def compared(name: str, ours: Turn, plain: Turn) -> None:
    """Print the rates of both and their ratio, turn by turn, after one turn that does not count."""
    for once in (ours, plain):
        once()
    pairs = [(ours(), plain()) for _ in range(TURNS)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(x / y for x, y in pairs)
    print(
        f"{name}: kbench {a:,.0f} images/s, plain DataLoader {b:,.0f} images/s, "
        f"ratio {statistics.median(ratios):.2f} (min {ratios[0]:.2f}, max {ratios[-1]:.2f}, {TURNS} turns)",
        flush=True,
    )


def main() -> None:
    """Compare both paths on the device that is named, else on the CPU."""
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else max(1, torch.get_num_threads())
    print(f"torch {torch.__version__}, {device}, {workers} worker(s)")
    compared("arrays of 32x32", *arrays(device, workers))
    with tempfile.TemporaryDirectory() as folder:
        compared("JPEG files", *files(Path(folder), device, workers))


if __name__ == "__main__":
    main()
