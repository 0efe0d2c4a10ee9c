"""kbench data: what there is, made ready, verified."""

import os
from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import Output, SiteName, expanded, log

data = typer.Typer(
    name="data",
    help="Data sets: what is there, make or fetch it, verify it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[str, typer.Option("--root", help="Where data sets lie, before the site's and $KBENCH_DATA.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes.", show_default="all cores")]
Dataset = Annotated[str, typer.Argument(help="A data set of kbench data list.", metavar="DATASET")]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@data.command("list")
@expanded
def list_data(root: Root = "", site: SiteName = "", *, output: Output) -> None:
    """List the data sets: where each is, or what is missing and how to get it."""
    from kbench.data import DATASETS
    from kbench.data.store import locate

    where = data_root(root, site)
    states = {name: locate.describe(name, where) for name in (*DATASETS, *locate.own_datasets(where))}
    roots = [str(path) for path in locate.roots(where)]
    output.json({"roots": roots, "datasets": states})
    if output.as_json:
        return
    output.log(f"looked in {', '.join(roots) or f'nowhere: no data_root of a site, no ${locate.VARIABLE}'}")
    width = max(map(len, states))
    for name, state in states.items():
        output.text(f"{name:<{width}}  {state['state']:<9}  {state['line']}")
    output.log("folder:, shards:, parquet: and hf:NAME are images of your own; kbench data prepare makes them known")


@data.command()
@expanded
def prepare(
    dataset: Dataset,
    given: Annotated[Path | None, typer.Option("--from", help="Where its files lie.", metavar="DIR")] = None,
    root: Root = "",
    site: SiteName = "",
    download: Annotated[bool, typer.Option("--download/--no-download", help="Fetch what is missing.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Even if it is ready.")] = False,
    workers: Workers = CORES,
    *,
    output: Output,
) -> None:
    """Make a data set ready: find or fetch its files, check them once, note what was checked.

    Only this command downloads; run it where there is network, never on a compute node.
    """
    from kbench.data.store import locate, prepare

    where = data_root(root, site)
    ready = None if again or given else locate.find_prepared(dataset, where)
    if ready:
        output.log(f"{dataset} is ready; kbench data check reads it in full, --again makes it anew")
    folder, manifest = ready or prepare.prepare(
        dataset, root=where, given=given, download=download, workers=workers, report=output.log
    )
    note = manifest.note(prepare.require_dataset(dataset))
    output.json({"folder": str(folder), "note": note, **manifest.model_dump()})
    output.text(f"{dataset}: {manifest.n_train:,} training and {manifest.n_val:,} validation samples in {folder}")
    output.text(f"checked: {', '.join(manifest.checked) or 'nothing'}")
    if note and not output.as_json:
        log(f"warning: {note}")


@data.command()
@expanded
def check(
    dataset: Dataset,
    root: Root = "",
    site: SiteName = "",
    workers: Workers = CORES,
    *,
    output: Output,
) -> None:
    """Read a data set in full, and say what is wrong with it."""
    from kbench.data.store import locate, prepare
    from kbench.errors import WorkloadError

    where = data_root(root, site)
    wrong = prepare.verify(dataset, root=where, workers=workers, report=output.log)
    note = None if wrong else locate.note(dataset, where)
    output.json({"dataset": dataset, "ok": not wrong, "problems": wrong, "note": note})
    if output.as_json and wrong:
        raise typer.Exit(WorkloadError.exit_code)
    for sentence in wrong[:-1]:
        log(f"error: {sentence}")
    if wrong:
        raise WorkloadError(wrong[-1])
    output.text(f"{dataset}: ok")
    if note and not output.as_json:
        log(f"warning: {note}")


def data_root(root: str, site: str) -> str:
    """The data root that was given, else the one of the site."""
    if root:
        return root
    from kbench.experiment.plan import read_site

    return read_site(site).data_root
