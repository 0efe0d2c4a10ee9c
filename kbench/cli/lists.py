"""kbench list: the names that experiments can use."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kbench.cli.experiments import experiments, first_comment, in_full, line
from kbench.cli.options import RESULTS, Debug, Json, Quiet, Results, print_result, print_json

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
            print_result(in_full(name, found[name]) if kind == "experiments" else _in_full(name, found[name]))
    elif as_json:
        print_json({"schema": 1, kind: found})
    else:
        width = max(map(len, found), default=0)
        for key, facts in found.items():
            print_result(f"{key:<{width}}  {line(facts) if kind == 'experiments' else facts['about']}")


def _found(kind: str, results: Path) -> dict[str, dict[str, Any]]:
    if kind == "strategies":
        return _strategies()
    return experiments(results) if kind == "experiments" else _others(kind)


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
    return {name: {"about": first_comment(path), "file": str(path)} for name, path in shelf.items()}
