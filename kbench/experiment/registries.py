"""What the names in an experiment stand for: the registries, as specs ask for them."""

import math
from typing import Any

from kbench.config.parse import did_you_mean
from kbench.data import DATASETS, OWN, DatasetInfo, dataset_info
from kbench.errors import ConfigError
from kbench.models.registry import MODELS, problem


class Registries:
    """Looks names up where they are registered.  Strategies cost an import of torch."""

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

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""
        found = []
        unknown = problem(model) if isinstance(model, str) else ""
        if unknown:
            found.append(("model", unknown))
        if not isinstance(dataset, str):
            return found
        card = dataset_info(dataset)
        if card is None:
            names = [*DATASETS, *(f"{prefix}NAME" for prefix in OWN)]
            return [*found, ("dataset", f"unknown data set {dataset!r}{did_you_mean(dataset, names)}")]
        if isinstance(model, str) and not unknown and _task(model) != card.task:
            found.append(("model", f"{model} is made for {_task(model)}, and {dataset} asks for {card.task}"))
        written = recipe if isinstance(recipe, dict) else {}
        batch, augment = written.get("global_batch"), written.get("augment", "none")
        if isinstance(batch, int) and batch > card.n_train > 0:
            text = f"must be at most the {card.n_train} training samples of {dataset}, got {batch}"
            found.append(("recipe.global_batch", text))
        found += [(f"recipe.{key}", text) for key, text in _unseen(written, card, dataset)]
        if augment not in card.augments:
            text = f"must be one of {', '.join(card.augments)} for {dataset}, got {augment!r}"
            found.append(("recipe.augment", text))
        return found

    def clashes(self, params: dict[str, Any], dataset: str, global_batch: int) -> list[tuple[str, str]]:
        """What a strategy's parameters, in full, make impossible on a data set: (parameter, sentence)."""
        card, share = dataset_info(dataset), params.get("fraction", 0.0)
        if card is not None and card.task == "segmentation" and params.get("confidence_over") == "batch":
            return [("confidence_over", f"a softmax over the batch is not defined for the pixels of {dataset}")]
        if card is None or not card.n_train or not isinstance(share, float):
            return []
        left = card.n_train - math.floor(share * card.n_train)
        if left >= global_batch:
            return []
        return [("fraction", f"leaves {left} of {card.n_train} samples, fewer than one global batch of {global_batch}")]


def _task(model: str) -> str:
    return MODELS[model].task if model in MODELS else "classification"


def _unseen(recipe: dict[str, Any], card: DatasetInfo, dataset: str) -> list[tuple[str, str]]:
    """Keys of how images look that mean nothing for a data set: (key, sentence)."""
    found = []
    for key in ("mean", "std"):
        given, channels = recipe.get(key) or (), card.shape[0]
        if isinstance(given, list | tuple) and len(given) not in (0, channels):
            found.append((key, f"must be {channels} numbers, one for each channel of {dataset}, got {len(given)}"))
    if card.task == "segmentation":
        keys = ("mean", "std", "cutout", "random_erase", "image_size", "val_size", "val_resize")
        found += [(key, f"does nothing for {dataset}, leave it out") for key in keys if recipe.get(key)]
        return found
    size, resize = recipe.get("val_size") or recipe.get("image_size") or card.shape[-1], recipe.get("val_resize")
    if isinstance(size, int) and isinstance(resize, int) and 0 < resize < size:
        found.append(("val_resize", f"must be at least the {size} pixels that are cut out of it, got {resize}"))
    return found
