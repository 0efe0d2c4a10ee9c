"""kbench data: what there is, made ready, verified."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import Debug, Json, Quiet, SiteName, log, print_json, print_result

data = typer.Typer(
    name="data",
    help="Data sets: what is there, make or fetch it, verify it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

if TYPE_CHECKING:
    from kbench.data.store.manifest import Manifest

Root = Annotated[str, typer.Option("--root", help="Where data sets lie, before the site's and $KBENCH_DATA.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes.", show_default="all cores")]
Dataset = Annotated[str, typer.Argument(help="A data set of kbench data list.", metavar="DATASET")]
SCHEMA = 1
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@data.command("list")
def list_data(
    root: Root = "", site: SiteName = "", as_json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """List the data sets: where each is, or what is missing and how to get it."""
    from kbench.data import DATASETS
    from kbench.data.store import locate

    where = _root(root, site)
    states = {name: _state(name, where) for name in (*DATASETS, *locate.own_datasets(where))}
    if as_json:
        print_json({"schema": SCHEMA, "roots": [str(path) for path in locate.roots(where)], "datasets": states})
        return
    roots = ", ".join(map(str, locate.roots(where))) or f"nowhere: no data_root of a site, no ${locate.VARIABLE}"
    log(f"looked in {roots}", quiet=quiet)
    width = max(map(len, states))
    for name, state in states.items():
        print_result(f"{name:<{width}}  {state['state']:<9}  {state['line']}")
    log("folder:NAME and shards:NAME are images of your own; kbench data prepare makes them known", quiet=quiet)


@data.command()
def prepare(
    dataset: Dataset,
    given: Annotated[Path | None, typer.Option("--from", help="Where its files lie.", metavar="DIR")] = None,
    root: Root = "",
    site: SiteName = "",
    download: Annotated[bool, typer.Option("--download/--no-download", help="Fetch what is missing.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Even if it is ready.")] = False,
    workers: Workers = CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a data set ready: find or fetch its files, check them once, note what was checked.

    Only this command downloads; run it where there is network, never on a compute node.
    """
    from kbench.data.store import prepare

    where = _root(root, site)
    ready = None if again or given else _ready(dataset, where)
    if ready:
        log(f"{dataset} is ready; kbench data check reads it in full, --again makes it anew", quiet=quiet)
    folder, manifest = ready or prepare.prepare(
        dataset,
        root=where,
        given=given,
        download=download,
        workers=workers,
        report=lambda text: log(text, quiet=quiet),
    )
    note = manifest.note(prepare.require_dataset(dataset))
    if as_json:
        print_json({"schema": SCHEMA, "folder": str(folder), "note": note, **manifest.model_dump()})
        return
    print_result(f"{dataset}: {manifest.n_train:,} training and {manifest.n_val:,} validation samples in {folder}")
    print_result(f"checked: {', '.join(manifest.checked) or 'nothing'}")
    if note:
        log(f"warning: {note}")


@data.command()
def check(
    dataset: Dataset,
    root: Root = "",
    site: SiteName = "",
    workers: Workers = CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read a data set in full, and say what is wrong with it."""
    from kbench.data.store import locate, prepare
    from kbench.errors import WorkloadError

    where = _root(root, site)
    wrong = prepare.verify(dataset, root=where, workers=workers, report=lambda text: log(text, quiet=quiet))
    note = None if wrong else locate.note(dataset, where)
    if as_json:
        print_json({"schema": SCHEMA, "dataset": dataset, "ok": not wrong, "problems": wrong, "note": note})
        if wrong:
            raise typer.Exit(WorkloadError.exit_code)
    elif wrong:
        for sentence in wrong[:-1]:
            log(f"error: {sentence}")
        raise WorkloadError(wrong[-1])
    else:
        print_result(f"{dataset}: ok")
        if note:
            log(f"warning: {note}")


def _ready(dataset: str, root: str) -> "tuple[Path, Manifest] | None":
    """Where a data set lies that needs no more preparing, and what it holds."""
    from kbench.data.store import locate
    from kbench.data.store.manifest import read

    place = None if locate.problems(dataset, root) else locate.find(dataset, root)
    manifest = read(place) if place else None
    return (place, manifest) if place and manifest else None


def _root(root: str, site: str) -> str:
    """The data root that was given, else the one of the site."""
    if root:
        return root
    from kbench.experiment.plan import read_site

    return read_site(site).data_root


def _state(name: str, root: str) -> dict[str, Any]:
    """Whether a data set is ready; the line is for people."""
    from kbench.data import dataset_info
    from kbench.data.store import locate

    card = dataset_info(name)
    assert card is not None, "it is in the list"
    if not card.folder:
        return {"state": "ready", "line": "needs no files", "folder": None, "note": None, "get": ""}
    place, wrong = locate.find(name, root), locate.problems(name, root)
    note = None if wrong else locate.note(name, root)
    state = "ready" if not wrong else "missing" if place is None else "not ready"
    line = note or str(place) if not wrong else card.get if place is None else wrong[0]
    return {"state": state, "line": line, "folder": place and str(place), "note": note, "get": card.get}
