"""Look up the names of an experiment file in the registries of strategies, models and data sets."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from kbench.config import own_code
from kbench.config.experiment import Pair
from kbench.config.parse import did_you_mean
from kbench.config.recipe import OWN_KEYS, Recipe
from kbench.config.strategy_choice import Role
from kbench.data import DATASETS, DatasetInfo, dataset_info, dataset_names
from kbench.data.registry import IMAGE_BY_IMAGE
from kbench.errors import ConfigError
from kbench.models.registry import MODELS, problem

MIXED = (
    "uses what a forward pass tells of a sample's class, and the recipe mixes two classes into each sample; add "
    "mix_label: own (the sample's own label counts) or mix_label: larger (the one with the larger share), "
    "or leave out mixup and cutmix"
)


class Registries:
    """The registries behind an experiment's names, as validation needs them.  Strategies cost an import of torch."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""
        from kbench.strategies import known, strategy_class
        from kbench.strategies.parameters import check

        if ":" not in name and name not in known():
            return [((), f"unknown strategy{did_you_mean(name, known())}")]
        try:
            return check(strategy_class(name), params)
        except ConfigError as error:
            return [((), error.message)]

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""
        from kbench.strategies import strategy_class
        from kbench.strategies.parameters import resolve

        return resolve(strategy_class(name), params)

    def strategy_role(self, name: str) -> Role:
        """What a strategy is there for."""
        from kbench.strategies import strategy_class

        return strategy_class(name).role

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""
        found = []
        unknown = problem(model) if isinstance(model, str) else ""
        if unknown:
            found.append(("model", unknown))
        if not isinstance(dataset, str):
            return found
        try:
            info = dataset_info(dataset)
        except ConfigError as error:
            return [*found, ("dataset", error.with_hint)]
        if info is None:
            return [*found, ("dataset", f"unknown data set {dataset!r}{did_you_mean(dataset, dataset_names())}")]
        found += _source_problems(model, dataset) if not unknown else []
        if isinstance(model, str) and not unknown and _task(model, info) != info.task:
            found.append(("model", f"{model} is made for {_task(model, info)}, and {dataset} asks for {info.task}"))
        written = recipe if isinstance(recipe, dict) else {}
        batch, augment = written.get("global_batch"), written.get("augment", "none")
        n_train = n_train_of(written, info)
        if isinstance(batch, int) and batch > n_train > 0:
            text = f"must be at most the {n_train} training samples of {dataset}, got {batch}"
            found.append(("recipe.global_batch", text))
        found += [(f"recipe.{key}", text) for key, text in _view_problems(written, info, dataset)]
        found += _own_problems(written, info, dataset)
        if augment not in info.augments and not own_code.target_of(augment, OWN_KEYS["augment"]):
            text = f"must be one of {', '.join(info.augments)} for {dataset}, got {augment!r}"
            found.append(("recipe.augment", text))
        return found

    def own_code(self, model: Any, dataset: Any, recipe: Any) -> dict[str, str]:
        """The digest of the source of each name of a pair, as it is written, that is one's own and can be found."""
        written = recipe if isinstance(recipe, dict) else {}
        parts = (own_code.target_of(written.get(key), group) for key, group in OWN_KEYS.items())
        named = [(model, _own_target(model, own_code.MODELS)), (dataset, _own_target(dataset, own_code.DATASETS))]
        found = {}
        for name, target in (*named, *((target, target) for target in parts)):
            if target:
                with suppress(ConfigError):  # pair_problems says that it has none
                    found[str(name)] = own_code.digest(target)
        return found

    def training_problems(
        self, name: str, params: dict[str, Any], dataset: str, recipe: Recipe
    ) -> list[tuple[tuple[str, ...], str]]:
        """What a strategy says that it cannot do with a data set and a recipe: (path below its name, sentence)."""
        from kbench.strategies import load
        from kbench.strategies.api import TrainingSetup

        info = dataset_info(dataset)
        if info is None:
            return []
        setup = TrainingSetup(
            n_train=n_train_of(recipe.model_dump(), info) or None,
            n_classes=info.n_classes or None,
            task=info.task,
            epochs=recipe.epochs,
            global_batch=recipe.global_batch,
            image_size=recipe.image_size or (info.shape[-1] or None if len(set(info.shape[1:])) == 1 else None),
        )
        try:
            strategy = load(name, params)
            found = list(strategy.problems(setup))
        except Exception as error:  # a class of somebody's may raise anything
            return [((), f"its problems() raised {type(error).__name__}: {error}")]
        if recipe.mixes and not recipe.mix_label and not strategy.takes_mixed:
            found.append(("", MIXED))
        return [((param,) if param else (), text) for param, text in found]


def _own_target(name: Any, group: str) -> str | None:
    """The ``module:Name`` behind a name of a pair that is one's own; None where it is built in, or nothing."""
    built_in: dict[str, Collection[str]] = {own_code.MODELS: MODELS, own_code.DATASETS: DATASETS}
    return None if isinstance(name, str) and name in built_in.get(group, ()) else own_code.target_of(name, group)


def _source_problems(model: Any, dataset: str) -> list[tuple[str, str]]:
    """Which of them is one's own and has no source to judge a run by: (key, sentence)."""
    targets = {"model": _own_target(model, own_code.MODELS), "dataset": _own_target(dataset, own_code.DATASETS)}
    found = []
    for key, target in targets.items():
        try:
            if target:
                own_code.digest(target)
        except ConfigError as error:
            found.append((key, error.with_hint))
    return found


def _own_problems(recipe: dict[str, Any], info: DatasetInfo, dataset: str) -> list[tuple[str, str]]:
    """What of a recipe names something of one's own that cannot be loaded: (key, sentence)."""
    found = []
    for key, group in OWN_KEYS.items():
        target = own_code.target_of(recipe.get(key), group)
        if not target:
            continue
        if info.task == "segmentation" and key in ("loss", "metric", "augment"):
            found.append((f"recipe.{key}", f"one of your own needs a class for each sample, and {dataset} has none"))
            continue
        try:
            own_code.load(target, key)
            own_code.digest(target)
        except ConfigError as error:
            found.append((f"recipe.{key}", error.with_hint))
    return found


def bytes_per_sample(name: str, params: dict[str, Any], pair: Pair) -> int:
    """What a strategy keeps of each training sample of a pair, beside the 19 bytes of every run, at most.

    The model is built without memory for it, and only for a strategy that remembers outputs.
    """
    from kbench.models.build import n_features
    from kbench.strategies import load

    strategy, info = load(name, params), dataset_info(pair.dataset)
    if info is None or not info.shape[0] or not strategy.memory_width(info.n_classes, 1):
        return strategy.n_bytes_per_sample
    shape = info.shape_at(pair.recipe.image_size)
    width = strategy.memory_width(info.n_classes, n_features(pair.model, shape, info.n_classes))
    return strategy.n_bytes_per_sample + 4 * width


def normalises_batches(pair: Pair) -> bool:
    """Whether the model of a pair has batch normalisation, as far as is known; nothing is allocated for it."""
    from kbench.models.build import has_batchnorm

    info = dataset_info(pair.dataset)
    return info is None or has_batchnorm(pair.model, info.shape_at(pair.recipe.image_size), info.n_classes)


def n_train_of(recipe: dict[str, Any], info: DatasetInfo) -> int:
    """The training samples that a recipe keeps, where classes are equally large; 0: not known."""
    n_train, ratio = recipe.get("n_train") or info.n_train, recipe.get("long_tail", 1.0)
    if not isinstance(n_train, int) or not isinstance(ratio, int | float) or ratio < 1:
        return info.n_train
    if ratio == 1 or info.n_classes < 2:
        return n_train
    profile = (ratio ** (-c / (info.n_classes - 1)) for c in range(info.n_classes))
    return int(n_train / info.n_classes * sum(profile))


def _task(model: str, info: DatasetInfo) -> str:
    """What a model answers; one of somebody's own may answer anything."""
    if _own_target(model, own_code.MODELS):
        return info.task
    return MODELS[model].task if model in MODELS else "classification"


def _view_problems(recipe: dict[str, Any], info: DatasetInfo, dataset: str) -> list[tuple[str, str]]:
    """Keys of how images look that mean nothing for a data set: (key, sentence)."""
    found = []
    for key in ("mean", "std"):
        given, channels = recipe.get(key) or (), info.shape[0]
        if isinstance(given, list | tuple) and channels and len(given) not in (0, channels):
            found.append((key, f"must be {channels} numbers, one for each channel of {dataset}, got {len(given)}"))
    if isinstance(n_train := recipe.get("n_train"), int) and n_train > info.n_train > 0:
        found.append(("n_train", f"must be at most the {info.n_train} training samples of {dataset}, got {n_train}"))
    if info.task == "segmentation":
        found += [
            (key, f"needs a class for each sample, and {dataset} has none, leave it out")
            for key in ("n_train", "long_tail", "noise")
            if recipe.get(key) not in (None, Recipe.model_fields[key].default)
        ]
        keys = ("mean", "std", "cutout", "random_erase", "erase_mode", "image_size", "val_size", "val_resize")
        more = ("mixup", "cutmix", "interpolation")
        found += [(key, f"does nothing for {dataset}, leave it out") for key in (*keys, *more) if recipe.get(key)]
        return found
    how = recipe.get("augment", "none")
    if recipe.get("interpolation") == "random" and how not in ("resized-crop", *IMAGE_BY_IMAGE):
        found.append(("interpolation", f"random belongs to a random crop that is resized, and augment is {how}"))
    size, resize = recipe.get("val_size") or recipe.get("image_size") or info.shape[-1], recipe.get("val_resize")
    if isinstance(size, int) and isinstance(resize, int) and 0 < resize < size:
        found.append(("val_resize", f"must be at least the {size} pixels that are cut out of it, got {resize}"))
    return found
