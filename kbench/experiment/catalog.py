"""Describe what an experiment can name: strategies, models, data sets, sites, and the experiments themselves."""

import importlib
import inspect
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from kbench.config import own_code
from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.lookup import names
from kbench.config.parse import did_you_mean, parse
from kbench.config.yaml_source import read_source
from kbench.data import DATASETS, OWN
from kbench.data.registry import NPZ, TORCHVISION_SETS
from kbench.errors import ConfigError
from kbench.models.registry import MODELS, TIMM, TORCHVISION
from kbench.records.folders import ExperimentDir

Facts = dict[str, Any]  # what ``kbench list --json`` prints of a name


def describe(kind: str, results: Path) -> dict[str, Facts]:
    """Describe every name of a kind; experiments with what their finished runs in ``results`` took.

    Raises ConfigError for a kind that is none.
    """
    kinds: dict[str, Callable[[], dict[str, Facts]]] = {
        "strategies": _strategies,
        "models": _models,
        "datasets": _datasets,
        "experiments": lambda: {name: _experiment(path, results) for name, path in names("configs", ".yaml").items()},
        "sites": _sites,
    }
    if kind not in kinds:
        raise ConfigError(f"unknown kind {kind!r}{did_you_mean(kind, kinds)}")
    return kinds[kind]()


def _strategies() -> dict[str, Facts]:
    from kbench.strategies import known, strategy_class
    from kbench.strategies.parameters import described

    found = {}
    for name in known():
        cls = strategy_class(name)
        module = importlib.import_module(cls.__module__)
        about = (module.__doc__ or cls.__doc__ or "").strip().splitlines()[0]
        found[name] = {"about": about, "text": inspect.getdoc(cls), "parameters": described(cls)}
    return found


def _models() -> dict[str, Facts]:
    collections = {
        TIMM + "NAME": {"about": "any model of timm, untrained (timm:resnet18)"},
        TORCHVISION + "NAME": {"about": "any classifier of torchvision, untrained (torchvision:resnet50)"},
        "MODULE:NAME": {"about": "a model of your own (docs/extending.md); kbench check-model examines it"},
    }
    return _installed(own_code.MODELS) | {name: {"about": info.about} for name, info in MODELS.items()} | collections


def _datasets() -> dict[str, Facts]:
    own = {
        **{prefix + "NAME": {"about": info.about} for prefix, info in OWN.items()},
        NPZ + "PATH": {"about": "arrays of your own: x_train, y_train, x_val and y_val of np.savez"},
        **{TORCHVISION + name: {"about": info.about} for name, info in TORCHVISION_SETS.items()},
        "MODULE:NAME": {"about": "a DatasetInfo of your own (docs/extending.md); kbench check-data examines it"},
    }
    return _installed(own_code.DATASETS) | {name: {"about": info.about} for name, info in DATASETS.items()} | own


def _installed(group: str) -> dict[str, Facts]:
    """What installed packages declare as entry points of a group."""
    return {name: {"about": f"of an installed package: {at}"} for name, at in own_code.installed(group).items()}


def _sites() -> dict[str, Facts]:
    sites = names("configs/sites", ".yaml")
    return {name: {"about": _first_comment(path), "file": str(path)} for name, path in sites.items()}


def _experiment(path: Path, results: Path) -> Facts:
    facts: Facts = {"about": _first_comment(path), "file": str(path), "pairs": [], "strategies": []}
    try:
        spec = parse(ExperimentSpec, read_source(path))
    except ConfigError as error:
        return facts | {"problem": error.message}
    hours, n_runs = _spent_node_hours(spec, ExperimentDir(results / spec.name))
    return facts | {
        "pairs": [_pair(pair) for pair in spec.pairs],
        "strategies": [choice.label for choice in spec.strategies],
        "seeds": list(spec.seeds),
        "node_hours": hours,
        "node_hours_from": n_runs,
    }


def _spent_node_hours(spec: ExperimentSpec, folder: ExperimentDir) -> tuple[float | None, int]:
    """Estimate the node-hours of a whole experiment from its finished runs, and count those.

    None unless each pair has one.  A run that has not finished is judged by those of its strategy on
    its pair, else by all on its pair.
    """
    no_content = {"name", "paper", "margin", "code"}
    pairs = {pair.name: pair.model_dump(exclude=no_content) for pair in spec.pairs}
    hours: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in pairs}  # by pair and strategy
    for run in folder.read():
        if run.done is None or run.last is None or run.spec is None:
            continue
        pair, label = run.spec.pair, run.spec.strategy.label
        if pairs.get(pair.name) == pair.model_dump(exclude=no_content):
            spent_s = run.last.elapsed_s + sum(record.eval_s for record in run.epochs)
            hours[pair.name][label].append(spent_s / 3600 * max(1, len(run.provenance.hosts)))
    n_runs = sum(len(runs) for by_strategy in hours.values() for runs in by_strategy.values())
    if not all(hours.values()):
        return None, n_runs
    total = 0.0
    for by_strategy in hours.values():
        of_pair = [fmean(runs) for runs in by_strategy.values()]
        total += sum(fmean(by_strategy.get(choice.label, of_pair)) for choice in spec.strategies) * len(spec.seeds)
    return total, n_runs


def _pair(pair: Pair) -> Facts:
    paper = pair.paper
    return {
        **{key: getattr(pair, key) for key in ("name", "model", "dataset", "starts_from")},
        **{key: getattr(pair.recipe, key) for key in ("epochs", "global_batch")},
        "cited": paper is not None,
        **{key: getattr(paper, key, None) for key in ("gpus", "gpu", "batch_per_gpu", "source", "note")},
        "paper_epochs": getattr(paper, "epochs", None),
    }


def _first_comment(path: Path) -> str:
    """What a file says of itself in its first line."""
    first = path.read_text(encoding="utf-8").splitlines()[:1]
    return first[0].lstrip("# ") if first and first[0].startswith("#") else ""
