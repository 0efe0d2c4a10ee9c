"""Settings that were compared: the recipe of each pair, the strategies with their parameters, seeds and targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kbench.analysis.frame import Frames
from kbench.analysis.roles import RowKey
from kbench.analysis.rows import Comparison
from kbench.config.run_spec import RunSpec


@dataclass(frozen=True)
class Setting:
    """A key and what it is in each column."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What the runs' specs say."""

    pairs: list[str]
    recipes: tuple[Setting, ...]  # a column per pair
    strategies: tuple[Setting, ...]  # label, then name and parameters
    seeds: str
    ranks: str
    targets: str
    source: str  # of experiment.yaml, as submitted; empty where there is none


def settings(frames: Frames, comparison: Comparison, specs: Mapping[RowKey, RunSpec]) -> Settings:
    """The settings of all runs, done or not."""
    by_pair = {pair: spec.pair for (pair, _), spec in specs.items()}
    recipes = [pair.model_dump(mode="json", exclude={"name", "recipe", "paper", "margin"}) for pair in by_pair.values()]
    for keys, pair in zip(recipes, by_pair.values(), strict=True):
        keys |= pair.recipe.model_dump(mode="json")
    targets = dict.fromkeys(target.requested for row in comparison.rows for target in row.targets)
    return Settings(
        pairs=list(by_pair),
        recipes=tuple(_columns(recipes)),
        strategies=tuple(_strategies(frames, specs)),
        seeds=_numbers(frames, "seed"),
        ranks=_numbers(frames, "ranks"),
        targets=", ".join(targets) or "none",
        source=_source(frames),
    )


def _columns(columns: Sequence[Mapping[str, Any]]) -> list[Setting]:
    keys = dict.fromkeys(key for column in columns for key in column)
    return [Setting(key, tuple(_yaml_text(column.get(key)) for column in columns)) for key in keys]


def _strategies(frames: Frames, specs: Mapping[RowKey, RunSpec]) -> list[Setting]:
    known = {strategy: (spec.upstream or spec).strategy for (_, strategy), spec in specs.items()}
    found = []
    for label in dict.fromkeys(frames.runs["strategy"]):
        choice = known.get(label)
        name, params = (choice.name, choice.params) if choice else ("not known: read from logs of others", {})
        found.append(Setting(label, (name, ", ".join(f"{key}: {_yaml_text(value)}" for key, value in params.items()))))
    return found


def _yaml_text(value: Any) -> str:
    """A value as YAML writes it, more or less."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml_text, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(frames: Frames, column: str) -> str:
    return ", ".join(map(str, sorted({int(value) for value in frames.runs[column].dropna()}))) or "not known"


def _source(frames: Frames) -> str:
    if frames.folder is None or not frames.folder.source.exists():
        return ""
    return frames.folder.source.read_text(encoding="utf-8", errors="replace").strip()
