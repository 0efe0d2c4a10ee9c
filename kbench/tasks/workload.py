"""One pair, made real: its data, its model, its task."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from kbench.config.experiment import Pair
from kbench.data.registry import DatasetInfo
from kbench.data.store.prepare import opened
from kbench.data.views.spec import Looked, View
from kbench.errors import WorkloadError
from kbench.models.build import build_model
from kbench.models.initial_weights import begin_with
from kbench.tasks.classification import Classification, Over, Results, Task


class Workload:
    """The data and the task of a pair on one device; the same for every strategy.

    ``root`` is where the site keeps data sets; empty: $KBENCH_DATA.  Raises WorkloadError where the data is not
    there or not as it was prepared.
    """

    def __init__(self, pair: Pair, device: torch.device, *, root: str = "") -> None:
        self.pair, self.recipe, self.device = pair, pair.recipe, device
        train, val, self.card, self.dataset_note, self.dataset_identity = opened(pair.dataset, root)
        if pair.recipe.global_batch > len(train):
            raise WorkloadError(
                f"{pair.dataset}: {len(train)} training samples are fewer than the global batch of "
                f"{pair.recipe.global_batch}",
                hint="use a smaller global_batch",
            )
        self.train, self.val = train.to(device), val.to(device)
        self.n_samples, self.n_classes = len(train), self.card.n_classes
        self.beginning: Mapping[str, Tensor] | None = None  # weights that another run ended with
        self.task = task_of(self.card)
        self.metric = self.task.metric
        recipe, size = pair.recipe, pair.recipe.image_size
        mean, std = recipe.mean or self.card.mean, recipe.std or self.card.std
        self._look = partial(
            View, how=recipe.augment, size=size, cutout=recipe.cutout, erase=recipe.random_erase, mean=mean, std=std
        )
        self._val_look = View(size=recipe.val_size or size, resize=recipe.val_resize, mean=mean, std=std)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the model trains on."""
        channels, height, width = self.card.shape
        return channels, self.recipe.image_size or height, self.recipe.image_size or width

    def model(self) -> nn.Module:
        """Build the model with fresh weights from torch's global random stream, but for those that are given."""
        recipe = self.recipe
        model = build_model(
            self.pair.model, self.shape, self.n_classes, dropout=recipe.dropout, drop_path=recipe.drop_path
        )
        if self.beginning:
            begin_with(model, self.beginning, whose=self.pair.starts_from or "")
        return model

    def batches(self, ids: Iterable[Tensor], *, key: int) -> Iterator[Looked]:
        """Yield (ids, images, labels) of the training set for each of ``ids``, augmented.

        ``key`` names the augmentation's stream: the same sample in the same epoch looks the same,
        whoever trains on it and wherever it stands in the order.
        """
        return self.train.batches(ids, self._look(key=key))

    def val_batches(self, ids: Iterable[Tensor]) -> Iterator[Looked]:
        """Yield (ids, images, labels) of the validation set for each of ``ids``; nothing about them is random."""
        return self.val.batches(ids, self._val_look)

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Per sample: loss [nat], right or wrong, confidence, error_norm, as the task defines them."""
        return self.task.measure(output, y, over=over)

    def criterion(self, output: Tensor, y: Tensor) -> Tensor:
        """The recipe's training loss: (b,) [nat]."""
        return self.task.criterion(output, y, label_smoothing=self.recipe.label_smoothing)


def task_of(card: DatasetInfo) -> Task:
    """What models are asked about a data set."""
    if card.task == "segmentation":
        from kbench.tasks.segmentation import CLASS_WEIGHT, Segmentation

        return Segmentation(CLASS_WEIGHT)
    return Classification(card.n_classes)
