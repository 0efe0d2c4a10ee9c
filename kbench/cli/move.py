"""kbench bundle, unbundle, merge, clean: results move to other machines, come together, and lose what nobody needs."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import DEFAULT, RESULTS, Experiment, Output, Results, without_default


def bundle(
    experiment: Experiment = DEFAULT,
    path: Annotated[
        Path | None,
        without_default("--output", "-o", text="The archive to write; else NAME.kbench.tar.gz here.", metavar="FILE"),
    ] = None,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Pack records, provenance, tables, figures and report with checksums into one archive; no weights."""
    from kbench.experiment.results import find_results
    from kbench.records import bundle as bundles

    folder = find_results(experiment, results)
    archive = path or Path(f"{folder.path.name}.kbench.tar.gz")
    packed = bundles.pack(folder, archive, extra=_tables_and_figures(experiment, results, output))
    left, n_bytes = sum(packed.left_out.values()), archive.stat().st_size
    output.json({"archive": str(archive), "n_bytes": n_bytes, "n_files": len(packed.bundle.files), "left_out": left})
    output.text(f"{archive}  {len(packed.bundle.files)} files, {n_bytes:,} bytes")
    if packed.left_out:
        output.log(
            f"note: {len(packed.left_out)} files of {left:,} bytes are left out: checkpoints, drafts, the ledger"
        )


def _tables_and_figures(experiment: str, results: Path, output: Output) -> dict[str, bytes]:
    """Tables, figures and page of today, by their paths in the experiment's folder; what cannot be made is noted."""
    from kbench import api
    from kbench.analysis.tables.layout import document
    from kbench.analysis.tables.registry import table_format
    from kbench.errors import KBenchError

    contents: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as place:
        try:
            printed = document(api.compare(experiment, results=results))
            for form, ending in (("text", "txt"), ("csv", "csv"), ("json", "json")):
                contents[f"tables/compare.{ending}"] = table_format(form).render(printed).encode()
            figures = api.plot(experiment, kind="all", output=place, results=results)
            page = api.report(experiment, output=Path(place) / "report.html", results=results)
            for drawing in figures.paths:
                for file in (drawing, drawing.with_suffix(".csv")):
                    contents[f"figures/{file.name}"] = file.read_bytes()
            contents["report.html"] = page.path.read_bytes()
        except KBenchError as error:
            output.log(f"note: tables, figures or report cannot be made: {error.sentences[0]}")
    return contents


def unbundle(
    archive: Annotated[Path, typer.Argument(help="What kbench bundle wrote.", metavar="ARCHIVE")],
    check: Annotated[bool, typer.Option("--check", help="Verify it, and write nothing.")] = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """Verify an archive of kbench bundle and unpack it among the results."""
    from kbench.records import bundle as bundles

    if check:
        found, files = bundles.read(archive)
        output.json({"experiment": found.experiment, "n_files": len(files), "folder": None})
        output.text(f"{archive}: {found.experiment}, {len(files)} files, all as they were packed")
        return
    found, folder = bundles.unpack(archive, results)
    output.json({"experiment": found.experiment, "n_files": len(found.files), "folder": str(folder.path)})
    output.text(f"{folder.path}  {len(found.files)} files, all as they were packed")
    output.log(f"see kbench compare {found.experiment}, kbench status {found.experiment}")


def merge(
    target: Annotated[Path, typer.Argument(help="An experiment's folder, which takes the runs.", metavar="A")],
    source: Annotated[Path, typer.Argument(help="Its folder from another machine; it is only read.", metavar="B")],
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done.")] = False,
    *,
    output: Output,
) -> None:
    """Take into the results A the runs that only B has; where both have one and differ, name it and take nothing."""
    from kbench.errors import ResultsError
    from kbench.records import merge as merging
    from kbench.records.folders import ExperimentDir

    found = merging.compare_folders(ExperimentDir(target), ExperimentDir(source))
    output.json({name: list(getattr(found, name)) for name in ("new", "same", "conflicts", "notes")})
    for run_id in found.new:
        output.text(f"{run_id}  new")
    for note in found.notes:
        output.log(f"note: {note}")
    for conflict in found.conflicts:
        output.text(f"conflict: {conflict}")
    if found.conflicts:
        raise ResultsError(
            f"{len(found.conflicts)} conflicts between {target} and {source}; nothing was taken",
            hint="remove the folder of each run that is not to be kept",
        )
    if not dry_run:
        merging.merge(found)
    output.log(f"{len(found.new)} runs {'would be' if dry_run else 'were'} taken, {len(found.same)} are in both")


def clean(
    experiment: Experiment = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
    results: Results = RESULTS,
    *,
    output: Output,
) -> None:
    """List what is no longer needed: checkpoints of runs that are done, drafts of killed writers."""
    from kbench.experiment.results import find_results
    from kbench.experiment.status import StatusMonitor
    from kbench.records import clean as cleaning

    folder = find_results(experiment, results)
    found = cleaning.needless(folder, StatusMonitor(folder).state_of)
    if yes:
        cleaning.remove(found)
    n_bytes = sum(each.n_bytes for each in found)
    listed = [{"path": str(each.path), "n_bytes": each.n_bytes, "why": each.why} for each in found]
    output.json({"files": listed, "n_bytes": n_bytes, "removed": yes})
    for each in found:
        output.text(f"{each.path}  {each.n_bytes:,} bytes  {each.why}")
    what = f"{len(found)} files of {n_bytes:,} bytes"
    output.log(f"{what} were removed" if yes else f"{what}; --yes removes them" if found else "nothing is needless")
