"""kbench import: results written by others into the same store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import RESULTS, Debug, Json, Quiet, Results, log, print_json, print_result

if TYPE_CHECKING:
    from kbench.importers.store import StoredImport
    from kbench.records.folders import ExperimentDir

FORMATS = "csv, kakurenbo-log, mllog, tensorboard or wandb-csv"


def import_results(
    form: Annotated[str, typer.Argument(help=FORMATS, metavar="FORMAT", show_default=False)],
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.", metavar="PATH...", show_default=False)],
    experiment: Annotated[
        str, typer.Option("--experiment", help="Where they go (default: named after the files).", metavar="NAME")
    ] = "",
    rules: Annotated[
        list[str],
        typer.Option(
            "--as",
            help="Call the runs with REGEX in their name so; repeatable.",
            metavar="REGEX=PAIR/STRATEGY[/SEED]",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    pair: Annotated[str, typer.Option("--pair", help="Name the pair of all these runs.", metavar="NAME")] = "",
    strategy: Annotated[str, typer.Option("--strategy", help="Name their strategy.", metavar="NAME")] = "",
    seed: Annotated[
        int | None, typer.Option("--seed", help="Number their seed.", min=0, metavar="N", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", help="Epochs that a run was to take; fewer are a partial log.", min=1, show_default=False
        ),
    ] = None,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read results that others wrote into the store; what their logs do not tell stays unknown."""
    from kbench.config.parse import did_you_mean
    from kbench.errors import ConfigError
    from kbench.importers import naming, store
    from kbench.importers.log import cut_short
    from kbench.importers.registry import FORMATS
    from kbench.records.folders import ExperimentDir

    if form not in FORMATS:
        raise ConfigError(f"unknown format {form!r}{did_you_mean(form, FORMATS)}")
    naming_rules = [naming.rule(text) for text in rules]
    _check_there(paths)
    logs = FORMATS[form].read(paths)
    if epochs is not None or FORMATS[form].cut_short:
        logs = cut_short(logs, epochs)
    seen: dict[Path, str] = {}
    sums = [store.digests(log, seen) for log in logs]
    fallback = naming.plain(paths[0].absolute().stem if paths[0].is_file() else paths[0].absolute().name)
    names = naming.names(logs, naming_rules, digests=sums, fallback=fallback, pair=pair, strategy=strategy, seed=seed)
    known = {name.known_from for name in names}
    default = next(iter(known)) if len(known) == 1 else None
    folder = ExperimentDir(results / naming.checked(experiment or default or fallback, "--experiment"))
    _show(folder, store.take(folder, form, logs, names, sums), as_json=as_json, quiet=quiet)


def _check_there(paths: list[Path]) -> None:
    from kbench.errors import ResultsError

    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ResultsError(f"{missing[0]}: no such file or folder", hint="name files or folders that are there")


def _show(folder: "ExperimentDir", taken: "list[StoredImport]", *, as_json: bool, quiet: bool) -> None:
    runs = [_facts(each) for each in taken]
    if as_json:
        print_json({"schema": 1, "experiment": folder.path.name, "runs": runs})
        return
    for facts in runs:
        print_result("  ".join(_line_parts(facts)))
    new = sum(each.is_new for each in taken)
    for remark in dict.fromkeys(remark for each in taken for remark in each.log.remarks):
        log(f"note: {remark}", quiet=quiet)
    if any(each.log.state == "interrupted" for each in taken):
        log("note: interrupted runs are not compared; --epochs says how many epochs runs were to take", quiet=quiet)
    log(
        f"{new} of {len(taken)} runs are new in {folder.path}; "
        f"see kbench compare {folder.path.name} --published, kbench plot {folder.path.name}",
        quiet=quiet,
    )


def _facts(taken: "StoredImport") -> dict[str, Any]:
    """A run for a program; null is what its log does not tell."""
    from kbench.records.imported import EMPTY, summary_of

    rows = [{**EMPTY, **row} for row in taken.log.epochs]
    line = summary_of(taken.facts, rows)
    shares = sum(row["hidden_share"] is not None for row in rows)
    wanted = ("state", "error", "epochs_done", "best_acc1", "final_acc1", "total_train_s", "hidden_mean")
    return {
        "run_id": taken.facts.run_id,
        "is_new": taken.is_new,
        **{key: line[key] for key in wanted},
        "epochs_with_hidden_share": shares,
        "log": taken.facts.run,
    }


def _line_parts(facts: dict[str, Any]) -> list[str]:
    """A run for a person."""
    parts = [
        facts["run_id"],
        "imported" if facts["is_new"] else "was there",
        f"{facts['epochs_done']} epoch{'s' * (facts['epochs_done'] != 1)}",
    ]
    if facts["final_acc1"] is not None:
        parts.append(f"last top-1 {100 * facts['final_acc1']:.2f} %, best {100 * facts['best_acc1']:.2f} %")
    if facts["total_train_s"] is not None:
        parts.append(f"training {facts['total_train_s'] / 60:.1f} min")
    if facts["hidden_mean"] is not None:
        parts.append(f"hidden {100 * facts['hidden_mean']:.2f} % ({facts['epochs_with_hidden_share']} epochs told)")
    if facts["state"] != "done":
        parts.append(f"{facts['state']}: {facts['error']}")
    return parts
