"""Write a first experiment file from a pair of the papers' experiments."""

from typing import Any, NamedTuple

import yaml

from kbench.config.lookup import names
from kbench.config.parse import did_you_mean
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError

LIST = list[dict[str, Any]]


class Source(NamedTuple):
    """A pair, and the experiment that it stands in."""

    experiment: str
    pairs: LIST  # that it starts from, and itself
    strategies: list[Any]


def sources() -> dict[str, Source]:
    """The pairs of all experiments that there are, by name; of several of a name, the first."""
    found: dict[str, Source] = {}
    for experiment, path in names("configs", ".yaml").items():
        try:
            tree = read_source(path).tree
        except ConfigError:  # one that is damaged is no example
            continue
        listed = tree.get("pairs", []) if isinstance(tree, dict) else []
        named = {_name(pair): pair for pair in listed if isinstance(pair, dict) and {"model", "dataset"} <= pair.keys()}
        for name, pair in named.items():
            first = named.get(str(pair.get("starts_from")))
            found.setdefault(name, Source(experiment, [first, pair] if first else [pair], tree.get("strategies", [])))
    return found


def experiment_file(name: str, pair: str) -> str:
    """The text of an experiment called ``name`` on a pair of those that there are, with the strategies tried on it.

    Raises ConfigError for a pair that there is not.
    """
    known = sources()
    if pair not in known:
        raise ConfigError(f"--pair: unknown {pair!r}{did_you_mean(pair, known)}", hint=f"there are {', '.join(known)}")
    source = known[pair]
    return (
        f"# Made by kbench init experiment from {source.experiment} (kbench list experiments), "
        "whose file names the sources of the recipe.\n"
        f"name: {name}\n\n{_yaml({'pairs': source.pairs})}\n"
        "# Of your own: package.module:Class (docs/extending.md; kbench check-method examines it).\n"
        f"{_yaml({'strategies': source.strategies})}\n"
        "seeds: [0, 1, 2]  # an interval needs three or more; kbench plan says how many\n"
    )


def _name(pair: dict[str, Any]) -> str:
    return str(pair.get("name") or f"{pair['model']}-{pair['dataset']}")


def _yaml(tree: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)
    return text
