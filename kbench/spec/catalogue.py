"""What the names in an experiment stand for, as specs may ask it."""

from typing import Any, Protocol


class Catalogue(Protocol):
    """What the names in an experiment stand for; handed in from above, as specs know no torch."""

    def strategy_problems(self, name: str, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with a strategy: (path below its name, sentence)."""

    def strategy_params(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with every default written out."""

    def pair_problems(self, model: Any, dataset: Any, recipe: Any) -> list[tuple[str, str]]:
        """What is wrong with a pair as it is written, whatever it is: (dotted key, sentence)."""

    def clashes(self, params: dict[str, Any], dataset: str, global_batch: int) -> list[tuple[str, str]]:
        """What a strategy's parameters, in full, make impossible on a data set: (parameter, sentence)."""
