"""Draw figures of a comparison into files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.layout import disturbed_note
from kbench.errors import ResultsError
from kbench.figures.layout import add_note, options_for, save
from kbench.figures.registry import figure_kind, kinds_for
from kbench.files import reason
from kbench.records.run_state import State

ABSENT = (State.DAMAGED, State.MISSING)


@dataclass(frozen=True)
class DrawnFigures:
    """The figures that were written, and the kinds that cannot be drawn, with the reason."""

    paths: tuple[Path, ...]  # each with its data beside it, as .csv
    skipped: Mapping[str, str]
    absent: tuple[str, ...] = ()  # sentences: runs that the results should hold and that no figure shows
    elsewhere: str = ""  # why they are in the current folder and not among the results
    disturbed: str = ""  # what became of the times of disturbed runs, in figures that show times


def draw_figures(
    frames: Frames, comparison: Comparison, names: Sequence[str], output: Path, *, size: str = "screen"
) -> DrawnFigures:
    """Draw figures, each with the data that it shows beside it.

    Args:
        frames: The gathered results of an experiment.
        comparison: The comparison of them.
        names: Of ``registry.FIGURES``.
        output: A file (.png, .pdf, .svg) for a single figure, or a folder.
        size: A name of ``layout.SIZES``.

    Raises:
        ResultsError: None of them can be drawn, or a file cannot be written.
    """
    options, paths, skipped = options_for(comparison, size), [], {}
    note = ""
    names = kinds_for(names, comparison) if len(names) > 1 else names
    for name in names:
        kind = figure_kind(name)
        try:
            data = kind.data(frames, comparison)
        except ResultsError as error:
            skipped[name] = error.message
            if len(skipped) == len(names):
                raise
            continue
        figure = kind.draw(data, options)
        if kind.shows_times and comparison.disturbed:
            note = disturbed_note(comparison)
            add_note(figure, note, options)
        try:
            paths.append(save(figure, data, output if output.suffix else output / f"{name}.png"))
        except OSError as error:
            raise ResultsError(f"{error.filename or output}: cannot be written: {reason(error)}") from error
    absent = tuple(finding.text for finding in comparison.findings if finding.kind in ABSENT)
    return DrawnFigures(tuple(paths), skipped, absent, disturbed=note)
