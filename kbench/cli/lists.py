"""kbench list: the names that experiments can use."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import RESULTS, Debug, Json, Quiet, Results, print_json, print_result

if TYPE_CHECKING:
    from kbench.config.experiment import Pair

UNKNOWN = "node-hours: unknown"
KINDS = ("strategies", "models", "datasets", "experiments", "sites")


def list_names(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), metavar="|".join(KINDS))],
    name: Annotated[str, typer.Argument(help="One of them, in full.", metavar="NAME")] = "",
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List strategies, models, datasets, experiments or sites, a line each."""
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError

    if kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}{did_you_mean(kind, KINDS)}")
    found = _found(kind, results)
    if name:
        if name not in found:
            raise ConfigError(f"no {kind} named {name!r}{did_you_mean(name, found)}")
        if as_json:
            print_json({"schema": 1, "name": name, **found[name]})
        else:
            print_result(
                _experiment_in_full(name, found[name]) if kind == "experiments" else _in_full(name, found[name])
            )
    elif as_json:
        print_json({"schema": 1, kind: found})
    else:
        width = max(map(len, found), default=0)
        for key, facts in found.items():
            print_result(f"{key:<{width}}  {_experiment_line(facts) if kind == 'experiments' else facts['about']}")


def _found(kind: str, results: Path) -> dict[str, dict[str, Any]]:
    if kind == "strategies":
        return _strategies()
    return _experiments(results) if kind == "experiments" else _others(kind)


def _in_full(name: str, facts: dict[str, Any]) -> str:
    import json

    lines = [f"{name}: {facts.get('text') or facts['about']}".replace("``", "`"), ""]
    parameters = facts.get("parameters", [])
    written = [f"{param['name']}: {json.dumps(param['default'])}" for param in parameters]
    width = max(map(len, written), default=0)
    lines += [f"  {text:<{width}}  {param['range']}" for text, param in zip(written, parameters, strict=True)]
    return "\n".join(lines).rstrip()


def _strategies() -> dict[str, dict[str, Any]]:
    import importlib
    import inspect

    from kbench.strategies import known, strategy_class
    from kbench.strategies.parameters import described

    found = {}
    for name in known():
        cls = strategy_class(name)
        module = importlib.import_module(cls.__module__)
        about = (module.__doc__ or cls.__doc__ or "").strip().splitlines()[0]
        found[name] = {"about": about, "text": inspect.getdoc(cls), "parameters": described(cls)}
    return found


def _others(kind: str) -> dict[str, dict[str, Any]]:
    from kbench.config.lookup import names
    from kbench.data import DATASETS
    from kbench.models.registry import MODELS, TIMM, TORCHVISION

    if kind == "models":
        doors = {
            TIMM + "NAME": {"about": "any model of timm, untrained (timm:resnet18)"},
            TORCHVISION + "NAME": {"about": "any classifier of torchvision, untrained (torchvision:resnet50)"},
        }
        return {name: {"about": card.about} for name, card in MODELS.items()} | doors
    if kind == "datasets":
        return {name: {"about": card.about} for name, card in DATASETS.items()}
    shelf = names("configs/sites", ".yaml")
    return {name: {"about": _first_comment(path), "file": str(path)} for name, path in shelf.items()}


def _experiments(results: Path) -> dict[str, dict[str, Any]]:
    """The facts of each experiment in configs/, by its name; with what its finished runs in ``results`` took."""
    from kbench.config.lookup import names

    return {name: _experiment_facts(path, results) for name, path in names("configs", ".yaml").items()}


def _experiment_line(facts: dict[str, Any]) -> str:
    """An experiment in a line; its first comment where it cannot be read."""
    pairs = facts["pairs"]
    if not pairs:
        return str(facts["about"])
    parts = [_models_on_datasets(pairs), f"{_all(_each(pairs, 'epochs'))} epochs", _machines(pairs)]
    return "; ".join([*filter(None, parts), _all(facts["strategies"]), _cost(facts)])


def _experiment_in_full(name: str, facts: dict[str, Any]) -> str:
    """An experiment with all its pairs, a few lines each."""
    lines = [f"{name}: {facts['about']}", f"file: {facts['file']}"]
    for pair in facts["pairs"]:
        lines += ["", f"{pair['name']}: {pair['model']} on {pair['dataset']}"]
        lines += [f"  {pair['epochs']} epochs, global batch {pair['global_batch']}"]
        lines += [f"  {_machines([pair])}"] * pair["cited"]
        lines += [f"  {key}: {pair[key]}" for key in ("source", "note") if pair[key]]
    if facts["pairs"]:
        seeds = ", ".join(map(str, facts["seeds"]))
        lines += ["", f"strategies: {_all(facts['strategies'])}", f"seeds: {seeds}", _cost(facts)]
    return "\n".join(lines)


def _experiment_facts(path: Path, results: Path) -> dict[str, Any]:
    from kbench.config.experiment import ExperimentSpec
    from kbench.config.parse import parse
    from kbench.config.yaml_source import read_source
    from kbench.errors import ConfigError
    from kbench.experiment.cost import spent_node_hours
    from kbench.records.folders import ExperimentDir

    facts: dict[str, Any] = {"about": _first_comment(path), "file": str(path), "pairs": [], "strategies": []}
    try:
        spec = parse(ExperimentSpec, read_source(path))
    except ConfigError as error:
        return facts | {"problem": error.message}
    hours, n_runs = spent_node_hours(spec, ExperimentDir(results / spec.name))
    return facts | {
        "pairs": [_pair_facts(pair) for pair in spec.pairs],
        "strategies": [choice.label for choice in spec.strategies],
        "seeds": list(spec.seeds),
        "node_hours": hours,
        "node_hours_from": n_runs,
    }


def _pair_facts(pair: "Pair") -> dict[str, Any]:
    paper = pair.paper
    return {
        **{key: getattr(pair, key) for key in ("name", "model", "dataset", "starts_from")},
        **{key: getattr(pair.recipe, key) for key in ("epochs", "global_batch")},
        "cited": paper is not None,
        **{key: getattr(paper, key, None) for key in ("gpus", "gpu", "batch_per_gpu", "source", "note")},
        "paper_epochs": getattr(paper, "epochs", None),
    }


def _models_on_datasets(pairs: list[dict[str, Any]]) -> str:
    """Which models on which data sets, each combination once."""
    models = {
        data: _all(pair["model"] for pair in pairs if pair["dataset"] == data) for data in _each(pairs, "dataset")
    }
    together = {names: [data for data in models if models[data] == names] for names in models.values()}
    return "; ".join(f"{names} on {', '.join(datasets)}" for names, datasets in together.items())


def _machines(pairs: list[dict[str, Any]]) -> str:
    """The GPUs that the papers name, or that they name none."""
    cited = [_gpus(pair) for pair in pairs if pair["cited"]]
    return f"paper: {_all(cited)}" if cited else ""


def _gpus(pair: dict[str, Any]) -> str:
    n, kind = pair["gpus"], pair["gpu"]
    if n is None:
        return f"{kind}, number not published" if kind else "GPUs not published"
    return f"{n} {kind}" if kind else f"{n} GPU{'s' * (n > 1)}"


def _cost(facts: dict[str, Any]) -> str:
    hours, n_runs = facts["node_hours"], facts["node_hours_from"]
    return UNKNOWN if hours is None else f"node-hours: about {hours:.2g}, as {n_runs} finished runs took"


def _each(pairs: list[dict[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(pair[key] for pair in pairs))


def _all(names: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))


def _first_comment(path: Path) -> str:
    """What a file says of itself in its first line."""
    first = path.read_text().splitlines()[:1]
    return first[0].lstrip("# ") if first and first[0].startswith("#") else ""
