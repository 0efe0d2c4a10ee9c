"""The workload of a pair on one device: its data, its model, its task."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from kbench.config.experiment import Pair
from kbench.data.altered import altered
from kbench.data.registry import DatasetInfo
from kbench.data.store.prepare import open_dataset
from kbench.data.views.mix import mixing_of
from kbench.data.views.spec import ViewedBatch, ViewSpec
from kbench.errors import WorkloadError
from kbench.models.build import build_model, classifier, load_initial_weights, normalises_batches
from kbench.tasks.classification import Classification, Over, Results, Task
from kbench.tasks.own import with_own

Mix = tuple[Tensor, Tensor]  # (b,) int64 labels that were mixed in, (b,) float32 shares of the others


class Workload:
    """The data, the model and the task of a pair on one device; the same for every strategy.

    Args:
        pair: Model, data set and recipe.
        device: Where samples, and what is computed with them, lie.
        root: Where the site keeps data sets; empty: only $KBENCH_DATA.

    Attributes:
        train: Source of the training samples, by ids 0 to n_samples - 1.
        val: Source of the validation samples.
        dataset: What is known of the data set, with the counts that were found.
        dataset_note: One sentence where it is not the official one.
        dataset_identity: Its digest; None where it needs no files.
        mixing: How training samples are mixed in pairs; None: they are not.
        initial_weights: What another run ended with, for models to start from; None: they start fresh.

    Raises:
        WorkloadError: The data is missing, not as it was prepared, or less than one global batch.
    """

    def __init__(self, pair: Pair, device: torch.device, *, root: str = "") -> None:
        self.pair, self.recipe, self.device = pair, pair.recipe, device
        train, val, self.dataset, self.dataset_note, self.dataset_identity = open_dataset(pair.dataset, root)
        if pair.recipe.global_batch > len(train):
            raise WorkloadError(
                f"{pair.dataset}: {len(train)} training samples are fewer than the global batch of "
                f"{pair.recipe.global_batch}",
                hint="use a smaller global_batch",
            )
        self.train, self.val = train.to(device), val.to(device)
        self.n_samples, self.n_classes = len(train), self.dataset.n_classes
        self.initial_weights: Mapping[str, Tensor] | None = None
        self.task = with_own(task_of(self.dataset), pair.recipe, self.n_classes)
        self.metric = self.task.metric
        recipe, size = pair.recipe, pair.recipe.image_size
        seen = partial(ViewSpec, mean=recipe.mean or self.dataset.mean, std=recipe.std or self.dataset.std)
        self._view = partial(
            seen,
            augment=recipe.augment,
            size=size,
            cutout=recipe.cutout,
            erase=recipe.random_erase,
            erase_mode=recipe.erase_mode or "",
            interpolation=recipe.interpolation or "",
        )
        self.mixing = mixing_of(recipe)
        self._val_view = seen(
            size=recipe.val_size or size, resize=recipe.val_resize, interpolation=recipe.val_interpolation
        )

    def alter(self, seed: int) -> None:
        """Make the training set what ``n_train``, ``long_tail`` and ``noise`` of the recipe say, for a run's seed.

        Raises:
            WorkloadError: Less than one global batch is left.
        """
        self.train = altered(self.train, self.recipe, n_classes=self.n_classes, seed=seed)
        self.n_samples = len(self.train)
        if self.recipe.global_batch > self.n_samples:
            raise WorkloadError(
                f"{self.pair.dataset}: n_train and long_tail leave {self.n_samples} training samples, fewer than the "
                f"global batch of {self.recipe.global_batch}",
                hint="use a smaller global_batch, or keep more",
            )

    @property
    def labels(self) -> Tensor | None:
        """(n_samples,) int64, on the device: the class of each training sample; None where it has no single one."""
        return self.train.labels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the model trains on."""
        return self.dataset.shape_at(self.recipe.image_size)

    def model(self) -> nn.Module:
        """Build the model, on the CPU, with fresh weights from torch's global random stream, but for those given."""
        recipe = self.recipe
        model = build_model(
            self.pair.model, self.shape, self.n_classes, dropout=recipe.dropout, drop_path=recipe.drop_path
        )
        if self.initial_weights:
            load_initial_weights(model, self.initial_weights, source=self.pair.starts_from or "")
        return model

    def classifier(self, model: nn.Module) -> nn.Linear | None:
        """The linear layer that a model of this workload ends in; None where it ends otherwise."""
        return classifier(model, self.n_classes)

    def normalises_batches(self, model: nn.Module) -> bool:
        """Whether a model of this workload normalises a sample by what else is in its batch."""
        return normalises_batches(model)

    def batches(
        self, ids: Iterable[Tensor], *, key: int, image_size: int | None = None, augment: str | None = None
    ) -> Iterator[ViewedBatch]:
        """Yield batches of the training set, augmented, on the device.

        Args:
            ids: The samples of each batch, (b,) int64 in [0, n_samples).
            key: Names the augmentation's stream of random numbers: the same sample in the same epoch looks the
                same, whatever the strategy and wherever it stands in the order.
            image_size: [pixel] Side of the images; None: the recipe's.
            augment: Name of an augmentation; None: the recipe's.

        Yields:
            Ids (b,) int64, images (b, c, h, w) float32, labels (b,) or (b, h, w) int64.
        """
        view = self._view(key=key)
        size, how = view.size if image_size is None else image_size, augment or view.augment
        return self.train.batches(ids, replace(view, size=size, augment=how))

    def val_batches(self, ids: Iterable[Tensor]) -> Iterator[ViewedBatch]:
        """Yield batches of the validation set as ``batches`` does; nothing about them is random."""
        return self.val.batches(ids, self._val_view)

    def measure(self, output: Tensor, y: Tensor, *, over: Over = "classes", mix: Mix | None = None) -> Results:
        """Measure a forward pass as the task does, without a graph; arguments and results as in ``Task.measure``.

        Where samples are mixed the loss is that against the mixed target, the rest is against ``y``.
        """
        loss, correct, confidence, error_norm = self.task.measure(output, y, over=over)
        if mix is not None:
            loss = _mean_of_both(loss, self.task.measure(output, mix[0])[0], mix[1])
        return loss, correct, confidence, error_norm

    def criterion(self, output: Tensor, y: Tensor, *, mix: Mix | None = None) -> Tensor:
        """The recipe's training loss of each sample, (b,) [nat], with a graph; of the mixed target with ``mix``."""
        loss = partial(self.task.criterion, output, label_smoothing=self.recipe.label_smoothing)
        return loss(y) if mix is None else _mean_of_both(loss(y), loss(mix[0]), mix[1])


def _mean_of_both(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """The loss against a target that is ``share`` of one label and else of another: it is linear in the target."""
    return share * own + (1 - share) * other


def task_of(dataset: DatasetInfo) -> Task:
    """The task of a data set."""
    if dataset.task == "segmentation":
        from kbench.tasks.segmentation import CLASS_WEIGHT, Segmentation

        return Segmentation(CLASS_WEIGHT)
    return Classification(dataset.n_classes)
