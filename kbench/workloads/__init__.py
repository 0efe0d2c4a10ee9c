"""On what: the names of data sets and models.  Nothing heavy is imported to know them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What is known of a data set before it is loaded."""

    target: str  # "module:function" that loads it
    n_train: int
    n_val: int
    n_classes: int
    shape: tuple[int, int, int]  # channels, height, width
    augments: tuple[str, ...]
    about: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model before it is built."""

    target: str  # "module:Class", called with (shape, n_classes)
    about: str


DATASETS = {
    "digits": DatasetCard(
        target="kbench.workloads.digits:load",
        n_train=1442,
        n_val=355,
        n_classes=10,
        shape=(1, 8, 8),
        augments=("none", "shift"),
        about="1,797 handwritten digits, 8x8 grey, carried by scikit-learn; every fifth of a class is held out",
    ),
}

MODELS = {
    "digits-cnn": ModelCard(
        target="kbench.workloads.digits:DigitsCNN",
        about="three 3x3 convolutions with batch normalisation for images of about 8x8",
    ),
}

TIMM = "timm:"  # prefix of any model that timm can build, untrained
