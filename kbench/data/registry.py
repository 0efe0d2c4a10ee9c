"""The data sets that experiments can name."""

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set by its name.  Counts are the official ones; 0 is one that is not known before."""

    target: str  # "module:function" that loads it: called with its folder or None, returns (training, validation)
    n_train: int
    n_val: int
    n_classes: int
    shape: tuple[int, int, int]  # channels, height, width of what a model sees unless its recipe says otherwise
    augments: tuple[str, ...]
    about: str
    task: Literal["classification", "segmentation"] = "classification"
    mean: tuple[float, ...] = ()  # per channel, of pixels in [0, 1], unless the recipe says otherwise
    std: tuple[float, ...] = ()
    folder: str = ""  # its name below a data root; empty: needs none
    look_in: tuple[str, ...] = ()  # other folders below a root where files for it may lie
    prepare: str = ""  # "module:function" that makes it ready: called with a PrepareJob, returns its Manifest
    verify: str = ""  # "module:function": (folder, manifest, workers, tell) to sentences that say what is wrong
    get: str = ""  # how to come by it, in words


IN_MEMORY = ("none", "flip", "crop", "crop-flip", "resized-crop")  # crop: a piece after padding by 4
FROM_FILES = ("none", "resized-crop", "trivial", "randaugment", "randaugment-flips")
Kept = partial(DatasetInfo, target="kbench.data.store.memmap:load", verify="kbench.data.store.arrays:verify")
Indexed = partial(DatasetInfo, target="kbench.data.store.indexed:load", verify="kbench.data.store.indexed:verify")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FETCHES = "kbench data prepare fetches"


def _of_255(*values: float) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


def fractal_card(name: str, n_classes: int) -> DatasetInfo:
    """FractalDB.  It has no validation part; ours are 25 images a class that nobody trains on."""
    return Indexed(
        prepare="kbench.data.sources.fractal_shards:prepare",
        folder=name,
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
    "cifar10": Kept(
        prepare="kbench.data.sources.cifar:prepare_cifar10",
        folder="cifar10",
        n_train=50_000,
        n_val=10_000,
        n_classes=10,
        shape=(3, 32, 32),
        augments=IN_MEMORY,
        mean=_of_255(125.3, 123.0, 113.9),  # angelajiang/SelectiveBackprop @d29b222 examples/train.py
        std=_of_255(63.0, 62.1, 66.7),
        about="60,000 colour photographs of 32x32 pixels in 10 classes",
        get=f"{FETCHES} https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "cifar100": Kept(
        prepare="kbench.data.sources.cifar:prepare_cifar100",
        folder="cifar100",
        n_train=50_000,
        n_val=10_000,
        n_classes=100,
        shape=(3, 32, 32),
        augments=IN_MEMORY,
        mean=(0.5071, 0.4865, 0.4409),  # TruongThaoNguyen/kakurenbo @6cb9f88, the WRN-28-10 scripts
        std=(0.2673, 0.2564, 0.2762),
        about="60,000 colour photographs of 32x32 pixels in 100 classes",
        get=f"{FETCHES} https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    "cifar10-rot": Kept(
        prepare="kbench.data.sources.rotated:prepare_cifar10",
        folder="cifar10-rot",
        look_in=("cifar10",),
        n_train=50_000,
        n_val=10_000,
        n_classes=10,
        shape=(3, 32, 32),
        augments=IN_MEMORY,
        mean=(0.4914, 0.4822, 0.4465),  # zhangjiong724/autoassist-exp @9c79af8 train_autoassist.py
        std=(0.2023, 0.1994, 0.2010),
        about="CIFAR-10 whose training images were turned once, as in AutoAssist's code",
        get=f"{FETCHES} https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "svhn": Kept(
        prepare="kbench.data.sources.svhn:prepare",
        folder="svhn",
        n_train=604_388,
        n_val=26_032,
        n_classes=10,
        shape=(3, 32, 32),
        augments=IN_MEMORY,
        mean=_of_255(109.9, 109.7, 113.8),  # angelajiang/SelectiveBackprop @d29b222 examples/train.py
        std=_of_255(50.1, 50.6, 50.8),
        about="630,420 digits of house numbers, 32x32 in colour; train and extra together are trained on",
        get=f"{FETCHES} train, extra and test_32x32.mat from http://ufldl.stanford.edu/housenumbers/",
    ),
    "mnist": Kept(
        prepare="kbench.data.sources.mnist:prepare",
        folder="mnist",
        n_train=60_000,
        n_val=10_000,
        n_classes=10,
        shape=(1, 28, 28),
        augments=IN_MEMORY,
        mean=(0.1307,),  # zhangjiong724/autoassist-exp @9c79af8 train_autoassist.py
        std=(0.3081,),
        about="70,000 handwritten digits, 28x28 grey",
        get=f"{FETCHES} four files from https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "mnist-rot": Kept(
        prepare="kbench.data.sources.rotated:prepare_mnist",
        folder="mnist-rot",
        look_in=("mnist",),
        n_train=60_000,
        n_val=10_000,
        n_classes=10,
        shape=(1, 28, 28),
        augments=IN_MEMORY,
        mean=(0.1307,),
        std=(0.3081,),
        about="MNIST whose training images were turned once, as in AutoAssist's code",
        get=f"{FETCHES} four files from https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "imagenet": Indexed(
        prepare="kbench.data.sources.imagenet:prepare",
        folder="imagenet",
        n_train=1_281_167,
        n_val=50_000,
        n_classes=1000,
        shape=(3, 224, 224),
        augments=FROM_FILES,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        about="ImageNet-1K of ILSVRC 2012: 1.33 million photographs in 1,000 classes",
        get="from https://image-net.org/download, which wants an account; kbench reads folders or the official tars",
    ),
    "fractal-60": fractal_card("fractal-60", 60),
    "fractal-1k": fractal_card("fractal-1k", 1000),
    "fractal-3k": fractal_card("fractal-3k", 3000),
    "deepcam": DatasetInfo(
        target="kbench.data.sources.deepcam_prepared:load",
        prepare="kbench.data.sources.deepcam_prepared:prepare",
        verify="kbench.data.sources.deepcam_prepared:verify",
        folder="deepcam",
        look_in=("All-Hist",),
        n_train=121266,
        n_val=15158,
        n_classes=3,
        shape=(16, 768, 1152),
        augments=("none",),
        task="segmentation",
        about="DeepCAM of MLPerf HPC: 16 fields of a simulated climate; cyclones and rivers of air by pixel (HDF5)",
        get="folder All-Hist, with Globus: "
        "https://app.globus.org/file-manager?origin_id=0b226e2c-4de0-11ea-971a-021304b0cca7",
    ),
    "deepcam-synthetic": DatasetInfo(
        target="kbench.data.sources.deepcam_prepared:load",
        prepare="kbench.data.sources.deepcam_synthetic:prepare",
        verify="kbench.data.sources.deepcam_prepared:verify",
        folder="deepcam-synthetic",
        n_train=128,
        n_val=32,
        n_classes=3,
        shape=(16, 96, 144),
        augments=("none",),
        task="segmentation",
        about="invented weather in DeepCAM's format, an eighth of its sides",
        get="kbench invents it; no network is needed",
    ),
}

OWN = {  # data of the user's own, by the prefix of its name; the rest is its folder below a data root
    "folder:": Indexed(
        prepare="kbench.data.sources.image_folders:prepare",
        n_train=0,
        n_val=0,
        n_classes=0,
        shape=(3, 224, 224),
        augments=FROM_FILES,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        about="images of your own: NAME/train/CLASS/* and NAME/val/CLASS/*",
        get="yours",
    ),
    "shards:": Indexed(
        prepare="kbench.data.sources.shards:prepare",
        n_train=0,
        n_val=0,
        n_classes=0,
        shape=(3, 224, 224),
        augments=FROM_FILES,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        about="tar shards of your own as WebDataset writes them: NAME/train-*.tar and NAME/val-*.tar",
        get="yours",
    ),
}
