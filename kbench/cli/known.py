"""What the names in an experiment stand for: the registries, as specs ask for them."""

from collections.abc import Mapping
from typing import Any

from kbench.errors import ConfigError
from kbench.spec.parse import did_you_mean
from kbench.workloads import DATASETS, MODELS, TIMM


class Known:
    """Looks names up where they are registered.  Strategies cost an import of torch."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""
        from kbench.strategies import known, strategy_class
        from kbench.strategies.params import check

        if ":" not in name and name not in known():
            return [((), f"unknown strategy{did_you_mean(name, known())}")]
        try:
            return check(strategy_class(name), params)
        except ConfigError as error:
            return [((), error.message)]

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""
        from kbench.strategies import strategy_class
        from kbench.strategies.params import resolve

        return resolve(strategy_class(name), params)

    def pair_problems(self, model: str, dataset: str, recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with a pair: (dotted key, sentence)."""
        found = []
        if not _is_model(model):
            found.append(("model", f"unknown model {model!r}{did_you_mean(model, [*MODELS, TIMM + 'NAME'])}"))
        card = DATASETS.get(dataset)
        if card is None:
            return [*found, ("dataset", f"unknown data set {dataset!r}{did_you_mean(dataset, DATASETS)}")]
        if recipe["global_batch"] > card.n_train:
            found.append(
                (
                    "recipe.global_batch",
                    f"must be at most the {card.n_train} training samples of {dataset}, got {recipe['global_batch']}",
                )
            )
        if recipe["augment"] not in card.augments:
            options = ", ".join(card.augments)
            found.append(("recipe.augment", f"must be one of {options} for {dataset}, got {recipe['augment']!r}"))
        return found


def _is_model(name: str) -> bool:
    if not name.startswith(TIMM):
        return name in MODELS
    import timm

    return bool(timm.is_model(name.removeprefix(TIMM)))
