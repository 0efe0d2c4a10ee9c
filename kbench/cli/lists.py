"""kbench list: the names that experiments can use."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from kbench.cli.options import RESULTS, Output, Results

UNKNOWN = "node-hours: unknown"
KINDS = ("strategies", "models", "datasets", "experiments", "sites")


def list_names(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), metavar="|".join(KINDS))],
    name: Annotated[str, typer.Argument(help="One of them, in full.", metavar="NAME")] = "",
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """List strategies, models, datasets, experiments or sites, a line each."""
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError
    from kbench.experiment.catalog import describe

    found = describe(kind, results)
    in_full, in_a_line = (_experiment_in_full, _experiment_line) if kind == "experiments" else (_in_full, _line)
    if name:
        if name not in found:
            raise ConfigError(f"no {kind} named {name!r}{did_you_mean(name, found)}")
        output.json({"name": name, **found[name]})
        output.text(in_full(name, found[name]))
        return
    output.json({kind: found})
    width = max(map(len, found), default=0)
    for key, facts in found.items():
        output.text(f"{key:<{width}}  {in_a_line(facts)}")


def _line(facts: dict[str, Any]) -> str:
    return str(facts["about"])


def _in_full(name: str, facts: dict[str, Any]) -> str:
    import json

    lines = [f"{name}: {facts.get('text') or facts['about']}".replace("``", "`"), ""]
    parameters = facts.get("parameters", [])
    written = [
        f"{param['name']}: {'(required)' if param['required'] else json.dumps(param['default'])}"
        for param in parameters
    ]
    width = max(map(len, written), default=0)
    lines += [f"  {text:<{width}}  {param['range']}" for text, param in zip(written, parameters, strict=True)]
    return "\n".join(lines).rstrip()


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
