"""How a model is trained: the same for every strategy."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from kbench.config.own_code import is_reference, target_of
from kbench.config.parse import Spec
from kbench.config.value_types import Count, Flag, Fraction, Natural, NonNegative, Positive, Probability, Share

CROSS_ENTROPY = "cross-entropy"
OWN_KEYS = {  # that may name something of one's own: the group of their entry points
    "loss": "kbench.losses",
    "metric": "kbench.metrics",
    "augment": "kbench.augmentations",
    "optimizer": "kbench.optimizers",
    "schedule": "kbench.schedules",
}


def one_of(*names: str, key: str) -> BeforeValidator:
    """Accept one of some names, ``package.module:Name``, or an entry point, which becomes what it names."""
    listed = [*map(repr, names), "package.module:Name"]
    expected = f"{', '.join(listed[:-1])} or {listed[-1]}"

    def check(raw: Any) -> Any:
        target = raw if raw in names else target_of(raw, OWN_KEYS[key])
        if target is None:
            raise PydanticKnownError("literal_error", {"expected": expected})
        return target

    return BeforeValidator(check)


def own_augmentation(raw: Any) -> Any:
    """An entry point's ``package.module:Name``; all else is left as it is, for the data set to judge."""
    return target_of(raw, OWN_KEYS["augment"]) or raw


class Recipe(Spec):
    """What a training is made of, besides model and data.  Epochs are passes over the data set."""

    epochs: Count
    global_batch: Count  # samples per step, over all ranks
    lr: Positive  # for that global batch, whatever the number of ranks
    schedule: Annotated[str, one_of("step", "cosine", "constant", key="schedule")] = "step"
    milestones: tuple[Positive, ...] = ()  # [epoch] where a step schedule drops
    gamma: Share = 0.1  # what is left of the learning rate at each milestone
    warmup_epochs: NonNegative = 0.0  # linear ramp ...
    warmup_from: Probability = 0.0  # ... from this share of the learning rate
    min_lr: NonNegative = 0.0  # where a cosine ends
    cosine_over: Literal["rest", "all"] = "rest"  # of the epochs: after the warm-up, or all, as timm counts
    optimizer: Annotated[str, one_of("sgd", "adam", "adamw", "lamb", key="optimizer")] = "sgd"
    momentum: Fraction = 0.9  # of sgd
    nesterov: Flag = False  # likewise
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)  # of the others: decay of the mean gradient and of its square
    eps: Positive = 1e-8  # of the others
    weight_decay: NonNegative = 0.0
    decay_exempts: Literal["nothing", "norms", "vectors"] = "nothing"  # norm layers; or all vectors, as timm does
    max_grad_norm: NonNegative = 0.0  # of all parameters together, beyond which a gradient is scaled down; 0: never
    ema_decay: Fraction = 0.0  # of an average of the weights, which is then what is evaluated; 0: none is kept
    ema_every: Count = 1  # [update] between two additions to the average
    # to train with; strategies see the cross-entropy
    loss: Annotated[str, one_of(CROSS_ENTROPY, key="loss")] = CROSS_ENTROPY
    metric: Annotated[str, one_of("task", key="metric")] = "task"  # what val_acc1 is; task: accuracy, or mean IoU
    label_smoothing: Fraction = 0.0
    dropout: Fraction | None = None  # in the model; null: the model's own default
    drop_path: Fraction | None = None  # share of residual branches left out at the deepest block; null: likewise
    # a name that the data set knows
    augment: Annotated[str, Field(strict=True), BeforeValidator(own_augmentation)] = "none"
    cutout: Natural = 0  # [pixel] side of a square that is blanked out
    random_erase: Probability = 0.0  # chance of a rectangle that is erased
    erase_mode: Literal["const", "pixel"] | None = None  # with 0, or normal noise; null: noise with randaugment
    mixup: NonNegative = 0.0  # images and labels are mixed by shares of Beta(mixup, mixup); 0: not
    cutmix: NonNegative = 0.0  # a rectangle of another image is pasted in, by Beta(cutmix, cutmix); 0: not
    mix_chance: Probability = 1.0  # that a group is mixed at all
    mix_switch: Probability = 0.5  # that it is cutmix, where both are given
    mix_group: Natural = 0  # [sample] that share what is drawn: the papers' batch per GPU; 0: the global batch
    mix_label: Literal["own", "larger"] | None = None  # which label of two counts as true; null: neither
    interpolation: Literal["bilinear", "bicubic", "random"] | None = None  # in training; null: the augmentation's own
    val_interpolation: Literal["bilinear", "bicubic"] = "bilinear"  # in evaluation
    image_size: Natural = 0  # [pixel] side of what the model trains on; 0: the data set's own
    val_resize: Natural = 0  # [pixel] shorter side before the centre is cut out; 0: the data set's own
    val_size: Natural = 0  # [pixel] side of that centre; 0: image_size
    mean: tuple[Probability, ...] = ()  # by channel, of pixels in [0, 1]; empty: the data set's own
    std: tuple[Positive, ...] = ()
    n_train: Natural = 0  # training samples to keep, the same for every seed, by class; 0: all
    long_tail: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)] = 1.0  # largest class over smallest one
    noise: Probability = 0.0  # share of the training labels that are moved to another class, drawn by the run's seed
    batchnorm_group: Natural = 0  # [sample] that batch normalisation sees together; 0: what a rank passes at once
    accumulate: Count = 1  # passes in which a rank makes a step, so that only a part of its batch is in memory
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # fp16 with a scaled loss
    channels_last: Flag = False
    compile: Flag = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leaves nothing of {self.epochs} epochs")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")
        if self.milestones and self.schedule != "step":
            raise ValueError(f"milestones belong to the schedule 'step', got {self.schedule!r}")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise ValueError(f"milestone {self.milestones[-1]:g} is never reached in {self.epochs} epochs")
        if self.schedule != "cosine" and (self.min_lr or self.cosine_over != "rest"):
            raise ValueError(f"min_lr and cosine_over belong to the schedule 'cosine', got {self.schedule!r}")
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("nesterov needs sgd and a momentum above 0")
        if self.ema_every > 1 and not self.ema_decay:
            raise ValueError("ema_every needs an ema_decay above 0")
        if self.label_smoothing and self.loss != CROSS_ENTROPY:
            raise ValueError(f"label_smoothing belongs to the loss {CROSS_ENTROPY!r}, got {self.loss!r}")
        self._check_mixing()
        if self.erase_mode and not self.random_erase:
            raise ValueError("erase_mode needs a random_erase above 0")
        defaults = {key: Recipe.model_fields[key].default for key in ("momentum", "betas", "eps")}
        given = [key for key, default in defaults.items() if getattr(self, key) != default]
        if given and is_reference(self.optimizer):
            raise ValueError(f"{' and '.join(given)}: {self.optimizer} gets lr and weight_decay, leave the rest to it")
        if self.batchnorm_group and self.global_batch % self.batchnorm_group:
            raise ValueError(f"batchnorm_group {self.batchnorm_group} does not divide global_batch {self.global_batch}")
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must be equally many, got {len(self.mean)} and {len(self.std)}")
        return self

    def normalised_together(self, ranks: int) -> int:
        """The samples that batch normalisation sees together, where there is any."""
        return self.batchnorm_group or self.global_batch // ranks // self.accumulate

    def rank_problem(self, ranks: int) -> tuple[str, str] | None:
        """The key that cannot be with so many ranks, which divide the global batch, and what it must be; else None."""
        mine, group = self.global_batch // ranks, self.batchnorm_group
        if mine % self.accumulate:
            return "accumulate", f"must divide the {mine} samples of each of {ranks} ranks, got {self.accumulate}"
        passed = mine // self.accumulate
        over_ranks = self.accumulate == 1 and not group % mine
        if group and passed % group and not over_ranks:
            several = f", or be {mine} for each of several ranks" if self.accumulate == 1 else ""
            return (
                "batchnorm_group",
                f"must divide the {passed} samples that a rank passes at once{several}, got {group}",
            )
        return None

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, so that their targets are."""
        return bool(self.mixup or self.cutmix)

    def _check_mixing(self) -> None:
        keys = ("mix_chance", "mix_switch", "mix_group", "mix_label")
        given = [key for key in keys if getattr(self, key) != Recipe.model_fields[key].default]
        if given and not self.mixes:
            raise ValueError(f"{' and '.join(given)}: needs a mixup or cutmix above 0")
        for key in ("global_batch", "mix_group"):
            if self.mixes and getattr(self, key) % 2:
                raise ValueError(f"{key} must be even where samples are mixed in pairs, got {getattr(self, key)}")
