"""What an experiment is, for people: on what, how long, on what the paper ran it, and what it costs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kbench.config.experiment import ExperimentSpec, Pair

UNKNOWN = "node-hours: unknown"


def experiments(results: Path) -> dict[str, dict[str, Any]]:
    """The facts of each experiment in configs/, by its name; with what its finished runs in ``results`` took."""
    from kbench.config.lookup import names

    return {name: _facts(path, results) for name, path in names("configs", ".yaml").items()}


def line(facts: dict[str, Any]) -> str:
    """An experiment in a line; its first comment where it cannot be read."""
    pairs = facts["pairs"]
    if not pairs:
        return str(facts["about"])
    parts = [_on(pairs), f"{_all(_each(pairs, 'epochs'))} epochs", _machines(pairs)]
    return "; ".join([*filter(None, parts), _all(facts["strategies"]), _cost(facts)])


def in_full(name: str, facts: dict[str, Any]) -> str:
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


def _facts(path: Path, results: Path) -> dict[str, Any]:
    from kbench.config.experiment import ExperimentSpec
    from kbench.config.parse import parse
    from kbench.config.yaml_source import read_source
    from kbench.errors import ConfigError

    facts: dict[str, Any] = {"about": first_comment(path), "file": str(path), "pairs": [], "strategies": []}
    try:
        spec = parse(ExperimentSpec, read_source(path))
    except ConfigError as error:
        return facts | {"problem": error.message}
    hours, n_runs = _spent(spec, results / spec.name)
    return facts | {
        "pairs": [_of_pair(pair) for pair in spec.pairs],
        "strategies": [choice.label for choice in spec.strategies],
        "seeds": list(spec.seeds),
        "node_hours": hours,
        "node_hours_from": n_runs,
    }


def _of_pair(pair: "Pair") -> dict[str, Any]:
    paper = pair.paper
    return {
        **{key: getattr(pair, key) for key in ("name", "model", "dataset", "starts_from")},
        **{key: getattr(pair.recipe, key) for key in ("epochs", "global_batch")},
        "cited": paper is not None,
        **{key: getattr(paper, key, None) for key in ("gpus", "gpu", "batch_per_gpu", "source", "note")},
        "paper_epochs": getattr(paper, "epochs", None),
    }


def _spent(spec: "ExperimentSpec", folder: Path) -> tuple[float | None, int]:
    """Node-hours of the whole experiment, and how many finished runs say so; None unless each pair has one.

    A run that has not finished is judged by those of its strategy on its pair, else by all on its pair.
    """
    from collections import defaultdict
    from statistics import fmean

    from kbench.records.folders import ExperimentDir

    pairs = {pair.name: pair.model_dump(exclude={"name", "paper"}) for pair in spec.pairs}
    seen: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in pairs}
    for run in ExperimentDir(folder).read():
        records, theirs = run.epochs if run.done else (), run.spec
        if records and theirs and pairs.get(theirs.pair.name) == theirs.pair.model_dump(exclude={"name", "paper"}):
            spent_s = records[-1].elapsed_s + sum(record.eval_s for record in records)
            hours = spent_s / 3600 * max(1, len(run.provenance.hosts))
            seen[theirs.pair.name][theirs.strategy.label].append(hours)
    n_runs = sum(len(hours) for of in seen.values() for hours in of.values())
    if not all(seen.values()):
        return None, n_runs
    total = 0.0
    for of in seen.values():
        of_pair = [fmean(hours) for hours in of.values()]
        total += sum(fmean(of.get(choice.label, of_pair)) for choice in spec.strategies) * len(spec.seeds)
    return total, n_runs


def _on(pairs: list[dict[str, Any]]) -> str:
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


def first_comment(path: Path) -> str:
    """What a file says of itself in its first line."""
    first = path.read_text().splitlines()[:1]
    return first[0].lstrip("# ") if first and first[0].startswith("#") else ""
