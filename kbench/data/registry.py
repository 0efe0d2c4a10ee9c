"""The data sets that experiments can name: one entry each, and the look-up by name.  Imports nothing heavy."""

import re
from dataclasses import dataclass, replace
from functools import partial
from pkgutil import resolve_name
from typing import Literal

from kbench.config import own_code
from kbench.config.parse import did_you_mean
from kbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known of a data set before it is opened.

    Counts are the official ones; 0 is one that is not known, as in the shape of a table that was not read.
    Functions are named as "module:function", and imported when they are called.  One of one's own is such an object in
    a module of one's own: what names a function there may leave out the module.
    """

    target: str  # loads it: called with its folder or None, returns (training, validation), a Source each
    n_train: int  # samples
    n_val: int  # samples
    n_classes: int
    shape: tuple[int, int, int]  # channels, height, width of what a model sees unless its recipe says otherwise
    augments: tuple[str, ...]  # augmentations that a recipe may name
    about: str  # one sentence
    task: Literal["classification", "segmentation"] = "classification"
    mean: tuple[float, ...] = ()  # per channel, of pixels in [0, 1], unless the recipe says otherwise
    std: tuple[float, ...] = ()  # likewise
    folder: str = ""  # its name below a data root; empty: it needs none
    file: str = ""  # where it lies, whatever the data roots; empty: nowhere else than in its folder
    look_in: tuple[str, ...] = ()  # other folders below a root where files for it may lie
    prepare: str = ""  # makes it ready: called with a PrepareJob, returns its Manifest
    verify: str = ""  # reads it in full: (folder, manifest, workers, report) to sentences that say what is wrong
    get: str = ""  # how to come by it, in words

    def shape_at(self, side: int) -> tuple[int, int, int]:
        """The shape of what a model sees: channels, height, width; images of ``side`` [pixel], or, with 0, its own."""
        channels, height, width = self.shape
        return channels, side or height, side or width


def dataset_info(name: str) -> DatasetInfo | None:
    """Look a data set up by its name; None where there is none.

    ``folder:NAME``, ``shards:NAME``, ``parquet:NAME``, ``hf:NAME`` and ``npz:PATH`` are files of the user's own,
    ``package.module:NAME`` or an entry point of the group ``kbench.datasets`` a DatasetInfo of the user's own;
    ``torchvision:NAME`` is one of torchvision, ``fractal-N`` is FractalDB with N classes.

    Raises:
        ConfigError: One of the user's own cannot be loaded or read.
    """
    for prefix, own in OWN.items():
        owner = r"([A-Za-z0-9_][A-Za-z0-9._-]*/)?" if prefix == HF else ""  # of the hub: owner/name
        if re.fullmatch(re.escape(prefix) + owner + r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
            return replace(own, folder=name.removeprefix(prefix).replace("/", "--"))
    fractal = re.fullmatch(r"fractal-([1-9][0-9]*)", name)
    if name in DATASETS or fractal:
        return DATASETS.get(name) or _fractal(int(fractal[1] if fractal else 0))
    if name.startswith(NPZ):
        info: DatasetInfo = resolve_name("kbench.data.sources.npz:describe")(name.removeprefix(NPZ))
        return info
    if name.startswith(TORCHVISION):
        return TORCHVISION_SETS.get(name.removeprefix(TORCHVISION))
    target = own_code.target_of(name, own_code.DATASETS)
    if target and not own_code.is_there(target) and did_you_mean(name, dataset_names(), strict=True):
        return None  # a prefix that was written wrong
    return _of_ones_own(name, target) if target else None


def dataset_names() -> list[str]:
    """The names that there are, with a pattern for each kind of data of the user's own."""
    own = [*(f"{prefix}NAME" for prefix in OWN), f"{NPZ}PATH", *(TORCHVISION + name for name in TORCHVISION_SETS)]
    return [*DATASETS, *own_code.installed(own_code.DATASETS), *own]


def _of_ones_own(name: str, target: str) -> DatasetInfo:
    found = own_code.load(target, "data set")
    if not isinstance(found, DatasetInfo):
        wrong = f"must be a kbench.data.DatasetInfo, got {type(found).__name__}"
        raise ConfigError(f"data set {name!r}: {wrong}", hint="docs/extending.md has an example")
    info, wrong = found, ""
    if info.task != "classification":
        wrong = f"must be for classification, got {info.task}"
    elif info.file or not (info.n_train and info.n_val and info.n_classes):
        wrong = "must state n_train, n_val and n_classes, and no file"
    if wrong:
        raise ConfigError(f"data set {name!r}: {wrong}", hint="docs/extending.md has an example")

    def in_full(function: str) -> str:
        return f"{target.partition(':')[0]}:{function}" if function and ":" not in function else function

    return replace(info, target=in_full(info.target), prepare=in_full(info.prepare), verify=in_full(info.verify))


IN_MEMORY = ("none", "flip", "crop", "crop-flip", "resized-crop")  # crop: a piece after padding by 4
IMAGE_BY_IMAGE = ("trivial", "color-jitter", "randaugment", "randaugment-flips")  # in colour
IN_COLOR = (*IN_MEMORY, *IMAGE_BY_IMAGE)
FROM_FILES = ("none", "resized-crop", *IMAGE_BY_IMAGE)
_arrays = partial(DatasetInfo, target="kbench.data.store.arrays:load", verify="kbench.data.store.arrays:verify")
_images = partial(DatasetInfo, target="kbench.data.store.images:load", verify="kbench.data.store.images:verify")
_cifar = partial(_arrays, n_train=50_000, n_val=10_000, shape=(3, 32, 32), augments=IN_COLOR)
_mnist = partial(
    _arrays,
    n_train=60_000,
    n_val=10_000,
    n_classes=10,
    shape=(1, 28, 28),
    augments=IN_MEMORY,
    mean=(0.1307,),  # zhangjiong724/autoassist-exp @9c79af8 train_autoassist.py
    std=(0.3081,),
    get="kbench data prepare fetches four files from https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_photographs = partial(  # ImageNet's recipe, for photographs of one's own too
    _images, shape=(3, 224, 224), augments=FROM_FILES, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
_own = partial(_photographs, n_train=0, n_val=0, n_classes=0, get="yours")
_deepcam = partial(
    DatasetInfo,
    target="kbench.data.sources.deepcam:load",
    verify="kbench.data.sources.deepcam:verify",
    n_classes=3,
    augments=("none",),
    task="segmentation",
)
FETCHES = "kbench data prepare fetches"
HF = "hf:"  # prefix of what Hugging Face's programs wrote
NPZ = "npz:"  # prefix of a file of arrays
TORCHVISION = "torchvision:"  # prefix of a data set of torchvision
CIFAR = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


def _of_255(*values: float) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


def _fractal(n_classes: int, name: str = "") -> DatasetInfo:
    """FractalDB.  It has no validation part; kbench draws 25 more images a class that nobody trains on."""
    return _images(
        prepare="kbench.data.sources.fractal.make:prepare",
        folder=name or f"fractal-{n_classes}",
        n_train=1000 * n_classes,
        n_val=25 * n_classes,
        n_classes=n_classes,
        shape=(3, 224, 224),
        augments=FROM_FILES,
        mean=(0.5, 0.5, 0.5),  # of the DeiT recipe in TruongThaoNguyen/kakurenbo VisualAtom/scripts
        std=(0.5, 0.5, 0.5),
        about=f"FractalDB with {n_classes} classes of 1,000 images each, drawn by kbench",
        get="kbench data prepare draws it, on all cores and without network",
    )


DATASETS = {
    "digits": DatasetInfo(
        target="kbench.data.sources.digits:load",
        n_train=1442,
        n_val=355,
        n_classes=10,
        shape=(1, 8, 8),
        augments=("none", "shift"),
        about="1,797 handwritten digits, 8x8 grey, carried by scikit-learn; every fifth of a class is held out",
    ),
    "cifar10": _cifar(
        prepare="kbench.data.sources.cifar:prepare_cifar10",
        folder="cifar10",
        n_classes=10,
        mean=_of_255(125.3, 123.0, 113.9),  # angelajiang/SelectiveBackprop @d29b222 examples/train.py
        std=_of_255(63.0, 62.1, 66.7),
        about="60,000 colour photographs of 32x32 pixels in 10 classes",
        get=f"{FETCHES} {CIFAR}",
    ),
    "cifar100": _cifar(
        prepare="kbench.data.sources.cifar:prepare_cifar100",
        folder="cifar100",
        n_classes=100,
        mean=(0.5071, 0.4865, 0.4409),  # TruongThaoNguyen/kakurenbo @6cb9f88, the WRN-28-10 scripts
        std=(0.2673, 0.2564, 0.2762),
        about="60,000 colour photographs of 32x32 pixels in 100 classes",
        get=f"{FETCHES} https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    "cifar10-rot": _cifar(
        prepare="kbench.data.sources.rotated:prepare_cifar10",
        folder="cifar10-rot",
        look_in=("cifar10",),
        n_classes=10,
        mean=(0.4914, 0.4822, 0.4465),  # zhangjiong724/autoassist-exp @9c79af8 train_autoassist.py
        std=(0.2023, 0.1994, 0.2010),
        about="CIFAR-10 whose training images were turned once, as in AutoAssist's code",
        get=f"{FETCHES} {CIFAR}",
    ),
    "svhn": _arrays(
        prepare="kbench.data.sources.svhn:prepare",
        folder="svhn",
        n_train=604_388,
        n_val=26_032,
        n_classes=10,
        shape=(3, 32, 32),
        augments=IN_COLOR,
        mean=_of_255(109.9, 109.7, 113.8),  # angelajiang/SelectiveBackprop @d29b222 examples/train.py
        std=_of_255(50.1, 50.6, 50.8),
        about="630,420 digits of house numbers, 32x32 in colour; train and extra together are trained on",
        get=f"{FETCHES} train, extra and test_32x32.mat from http://ufldl.stanford.edu/housenumbers/",
    ),
    "mnist": _mnist(
        prepare="kbench.data.sources.mnist:prepare",
        folder="mnist",
        about="70,000 handwritten digits, 28x28 grey",
    ),
    "fashion-mnist": _mnist(
        prepare="kbench.data.sources.fashion_mnist:prepare",
        folder="fashion-mnist",
        look_in=("/usr/share/datasets/fashion-mnist",),  # where Debian's package puts it
        mean=(0.2860,),  # of its training pixels, measured
        std=(0.3530,),
        about="70,000 photographs of clothes in ten classes, 28x28 grey, in MNIST's format",
        get=f"{FETCHES} four files, or takes those of Debian's package dataset-fashion-mnist",
    ),
    "mnist-rot": _mnist(
        prepare="kbench.data.sources.rotated:prepare_mnist",
        folder="mnist-rot",
        look_in=("mnist",),
        about="MNIST whose training images were turned once, as in AutoAssist's code",
    ),
    "imagenet": _photographs(
        prepare="kbench.data.sources.imagenet:prepare",
        folder="imagenet",
        n_train=1_281_167,
        n_val=50_000,
        n_classes=1000,
        about="ImageNet-1K of ILSVRC 2012: 1.33 million photographs in 1,000 classes",
        get="from https://image-net.org/download, which wants an account; kbench reads folders or the official tars",
    ),
    "fractal-60": _fractal(60),
    "fractal-1k": _fractal(1000, "fractal-1k"),
    "fractal-3k": _fractal(3000, "fractal-3k"),
    "deepcam": _deepcam(
        prepare="kbench.data.sources.deepcam:prepare",
        folder="deepcam",
        look_in=("All-Hist",),
        n_train=121_266,
        n_val=15_158,
        shape=(16, 768, 1152),
        about="DeepCAM of MLPerf HPC: 16 fields of a simulated climate; cyclones and rivers of air by pixel (HDF5)",
        get="folder All-Hist, with Globus: "
        "https://app.globus.org/file-manager?origin_id=0b226e2c-4de0-11ea-971a-021304b0cca7",
    ),
    "deepcam-synthetic": _deepcam(
        prepare="kbench.data.sources.deepcam_synthetic:prepare",
        folder="deepcam-synthetic",
        n_train=128,
        n_val=32,
        shape=(16, 96, 144),
        about="invented weather in DeepCAM's format, an eighth of its sides",
        get="kbench invents it; no network is needed",
    ),
}

_tables = partial(
    _arrays,
    prepare="kbench.data.sources.tables:prepare",
    n_train=0,
    n_val=0,
    n_classes=0,
    shape=(0, 0, 0),
    augments=IN_MEMORY,
    get="yours",
)
OWN = {  # data of the user's own, by the prefix of its name; the rest is its folder below a data root
    "folder:": _own(
        prepare="kbench.data.sources.image_folders:prepare",
        about="images of your own: NAME/train/CLASS/* and NAME/val/CLASS/*",
    ),
    "shards:": _own(
        prepare="kbench.data.sources.shards:prepare",
        about="tar shards of your own as WebDataset writes them: NAME/train-*.tar and NAME/val-*.tar; or tables",
    ),
    "parquet:": _tables(
        about="tables of your own with small images of one size: NAME/train*.parquet and NAME/val*.parquet"
    ),
    HF: _tables(about="a data set of Hugging Face, saved (save_to_disk) or fetched, with small images of one size"),
}

_torchvision = partial(
    _arrays,
    prepare="kbench.data.sources.torchvision_sets:prepare",
    get="kbench data prepare takes torchvision's files from --from DIR or a data root, or lets torchvision fetch them",
)
TORCHVISION_SETS = {  # those with two parts of images of one size; counts and shapes are those of torchvision's classes
    name: _torchvision(
        folder=f"torchvision-{name.lower()}",
        n_train=n_train,
        n_val=n_val,
        n_classes=10,
        shape=shape,
        augments=IN_COLOR if shape[0] == 3 else IN_MEMORY,
        about=f"{name} of torchvision, {n_train:,} and {n_val:,} images",
    )
    for name, n_train, n_val, shape in (
        ("MNIST", 60_000, 10_000, (1, 28, 28)),
        ("FashionMNIST", 60_000, 10_000, (1, 28, 28)),
        ("KMNIST", 60_000, 10_000, (1, 28, 28)),
        ("USPS", 7291, 2007, (1, 16, 16)),
        ("CIFAR10", 50_000, 10_000, (3, 32, 32)),
        ("SVHN", 73_257, 26_032, (3, 32, 32)),
        ("STL10", 5000, 8000, (3, 96, 96)),
    )
}
