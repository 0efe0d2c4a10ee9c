"""The handwritten digits of scikit-learn: real images that need no download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kbench.data.loader import Arrays


def load(_: Path | None = None) -> tuple[Arrays, Arrays]:
    """Load the 1,797 digits as (training, validation); every fifth sample of a class is held out.

    Images are (n, 1, 8, 8) float32 with mean 0 and standard deviation 1 over the training pixels, labels (n,) int64.
    Source: UCI optdigits test set (Alpaydin and Kaynak 1998), as in ``sklearn.datasets``.
    """
    table = torch.from_numpy(_table())
    x, y = table[:, :-1].float().view(-1, 1, 8, 8), table[:, -1].long()
    held_out = _every_fifth(y)
    mean, std = x[~held_out].mean(), x[~held_out].std()
    x = (x - mean) / std
    return Arrays(x[~held_out], y[~held_out]), Arrays(x[held_out], y[held_out])


def _table() -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """(1797, 65): 64 pixels from 0 to 16 and the label; the file of scikit-learn, whose import would take seconds."""
    package = find_spec("sklearn")
    assert package and package.origin
    return np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",", ndmin=2)


def _every_fifth(y: Tensor) -> Tensor:
    """(n,) bool: the fifth, tenth, ... sample of each class, in the order of the data."""
    one_hot = F.one_hot(y)
    rank_in_class = one_hot.cumsum(0).gather(1, y[:, None]).squeeze(1)
    return rank_in_class % 5 == 0
