"""What the names in an experiment stand for: the registries, as specs ask for them."""

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

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""
        found = []
        if isinstance(model, str) and not _is_model(model):
            found.append(("model", f"unknown model {model!r}{did_you_mean(model, [*MODELS, TIMM + 'NAME'])}"))
        if not isinstance(dataset, str):
            return found
        card = DATASETS.get(dataset)
        if card is None:
            return [*found, ("dataset", f"unknown data set {dataset!r}{did_you_mean(dataset, DATASETS)}")]
        written = recipe if isinstance(recipe, dict) else {}
        batch, augment = written.get("global_batch"), written.get("augment", "none")
        if isinstance(batch, int) and batch > card.n_train:
            text = f"must be at most the {card.n_train} training samples of {dataset}, got {batch}"
            found.append(("recipe.global_batch", text))
        if augment not in card.augments:
            text = f"must be one of {', '.join(card.augments)} for {dataset}, got {augment!r}"
            found.append(("recipe.augment", text))
        return found


def _is_model(name: str) -> bool:
    if not name.startswith(TIMM):
        return name in MODELS
    import timm

    return bool(timm.is_model(name.removeprefix(TIMM)))
