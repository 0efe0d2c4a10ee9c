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

    Args:
        pair: model, data set and recipe.
        device: where tensors are to lie.
        root: the folder of data sets; empty: $KBENCH_DATA.

    Raises:
        WorkloadError: the data is not there, not as it was prepared, or less than a global batch.
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
        """Build the model, on the CPU, with fresh weights from torch's global random stream, but for those given."""
        recipe = self.recipe
        model = build_model(
            self.pair.model, self.shape, self.n_classes, dropout=recipe.dropout, drop_path=recipe.drop_path
        )
        if self.beginning:
            begin_with(model, self.beginning, whose=self.pair.starts_from or "")
        return model

    def batches(self, ids: Iterable[Tensor], *, key: int) -> Iterator[Looked]:
        """Read batches of the training set, augmented and normalised, on the workload's device.

        Args:
            ids: (b,) int64 sample ids of each batch.
            key: names the augmentation's stream: with the same key a sample looks the same in any batch, on any rank.

        Yields:
            (b,) int64 ids, (b, channels, height, width) float32 images, and labels: (b,) int64 classes, or
            (b, height, width) for segmentation.
        """
        return self.train.batches(ids, self._look(key=key))

    def val_batches(self, ids: Iterable[Tensor]) -> Iterator[Looked]:
        """Read batches of the validation set, as ``batches`` does; nothing about them is random."""
        return self.val.batches(ids, self._val_look)

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes") -> Results:
        """Measure a forward pass as the task defines it, without a graph.

        Args:
            output: of the model: (b, n_classes) logits, or (b, n_classes, height, width) for segmentation.
            y: (b,) int64 labels, or (b, height, width).
            over: the softmax of the confidence runs over the classes, or over the batch as in published code.

        Returns:
            (b,) each: loss [nat], correct (bool), confidence in [0, 1], error_norm in [0, sqrt(2)].
        """
        return self.task.measure(output, y, over=over)

    def criterion(self, output: Tensor, y: Tensor) -> Tensor:
        """The recipe's training loss of each sample: (b,) [nat], with a graph; arguments as for ``measure``."""
        return self.task.criterion(output, y, label_smoothing=self.recipe.label_smoothing)


def task_of(card: DatasetInfo) -> Task:
    """What models are asked about a data set."""
    if card.task == "segmentation":
        from kbench.tasks.segmentation import CLASS_WEIGHT, Segmentation

        return Segmentation(CLASS_WEIGHT)
    return Classification(card.n_classes)
