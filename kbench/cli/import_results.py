"""kbench import: results written by others into the same store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import RESULTS, Output, Results, repeatable, without_default
from kbench.importers.registry import FORMATS

if TYPE_CHECKING:
    from kbench.importers.store import StoredImport
    from kbench.records.folders import ExperimentDir


def import_results(
    form: Annotated[str, typer.Argument(help=", ".join(FORMATS) + ".", metavar="FORMAT", show_default=False)],
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.", metavar="PATH...", show_default=False)],
    experiment: Annotated[
        str, typer.Option("--experiment", help="Where they go (default: named after the files).", metavar="NAME")
    ] = "",
    rules: Annotated[
        list[str], repeatable("--as", "Call the runs with REGEX in their name so", "REGEX=PAIR/STRATEGY[/SEED]")
    ] = [],  # noqa: B006
    pair: Annotated[str, typer.Option("--pair", help="Name the pair of all these runs.", metavar="NAME")] = "",
    strategy: Annotated[str, typer.Option("--strategy", help="Name their strategy.", metavar="NAME")] = "",
    seed: Annotated[int | None, without_default("--seed", text="Number their seed.", metavar="N", min=0)] = None,
    epochs: Annotated[
        int | None,
        without_default("--epochs", text="Epochs that a run was to take; fewer are a partial log.", metavar="N", min=1),
    ] = None,
    percent: Annotated[
        bool, typer.Option("--percent", help="Accuracies are percent, also where none is above 1.")
    ] = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Read results that others wrote into the store; what their logs do not tell stays unknown."""
    from kbench.importers.naming import Naming
    from kbench.importers.store import import_logs

    naming = Naming(experiment=experiment, rules=tuple(rules), pair=pair, strategy=strategy, seed=seed)
    folder, stored = import_logs(form, paths, results, naming=naming, epochs=epochs, percent=percent)
    _show(folder, stored, output)


def _show(folder: "ExperimentDir", stored: "list[StoredImport]", output: Output) -> None:
    name, runs = folder.path.name, [_facts(each) for each in stored]
    output.json({"experiment": name, "runs": runs})
    if output.as_json:
        return
    for each in runs:
        output.text("  ".join(_columns(each)))
    for remark in dict.fromkeys(remark for each in stored for remark in each.log.remarks):
        output.log(f"note: {remark}")
    if any(each.log.state == "interrupted" for each in stored):
        output.log("note: interrupted runs are not compared; --epochs says how many epochs runs were to take")
    output.log(_sum(runs))
    n_new = sum(each.is_new for each in stored)
    output.log(
        f"{n_new} of {len(stored)} runs are new in {folder.path}; "
        f"see kbench compare {name} --published, kbench plot {name}"
    )


def _sum(runs: list[dict[str, Any]]) -> str:
    """What was read in all, so that a reader can hold it against the logs."""
    timed = [run["total_train_s"] for run in runs if run["total_train_s"] is not None]
    text = f"sum: {sum(run['epochs_done'] for run in runs)} epochs in {len(runs)} runs"
    text += f", {sum(timed) / 60:.1f} minutes of training" if timed else ", no times"
    return text + (f" ({len(runs) - len(timed)} runs without times)" if timed and len(timed) < len(runs) else "")


def _facts(stored: "StoredImport") -> dict[str, Any]:
    """A run for a program; null is what its log does not tell."""
    from kbench.records.imported import EMPTY, summary_of
    from kbench.records.schema import metric_name

    rows = [{**EMPTY, **row} for row in stored.log.epochs]
    line = summary_of(stored.facts, rows)
    shares = sum(row["hidden_share"] is not None for row in rows)
    wanted = ("state", "error", "epochs_done", "best_acc1", "final_acc1", "total_train_s", "hidden_mean")
    return {
        "run_id": stored.facts.run_id,
        "is_new": stored.is_new,
        **{key: line[key] for key in wanted},
        "epochs_with_hidden_share": shares,
        "stages": len({row["phase"] for row in rows}),
        "log": stored.facts.run,
        "metric": metric_name(stored.facts.metric or stored.log.metric),
    }


def _columns(run: dict[str, Any]) -> list[str]:
    """A run for a person."""
    columns = [
        run["run_id"],
        "imported" if run["is_new"] else "was there",
        f"{run['epochs_done']} epoch{'s' * (run['epochs_done'] != 1)}"
        + (f" in {run['stages']} stages" if run["stages"] > 1 else ""),
    ]
    if run["final_acc1"] is not None:
        columns.append(f"last {run['metric']} {100 * run['final_acc1']:.2f} %, best {100 * run['best_acc1']:.2f} %")
    if run["total_train_s"] is not None:
        columns.append(f"training {run['total_train_s'] / 60:.1f} min")
    if run["hidden_mean"] is not None:
        columns.append(f"hidden {100 * run['hidden_mean']:.2f} % ({run['epochs_with_hidden_share']} epochs told)")
    if run["state"] != "done":
        columns.append(f"{run['state']}: {run['error']}")
    return columns
