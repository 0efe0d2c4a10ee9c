"""The figures by name.  One more is a file here with a ``FigureKind``, and a line in ``FIGURES``."""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from kbench.analysis.frame import Frames
    from kbench.analysis.rows import Comparison
    from kbench.figures.layout import Options

FIGURES = {  # name: where its FigureKind is, imported when it is used
    "curves": "kbench.figures.curves:CURVES",
    "epochs": "kbench.figures.curves:EPOCHS",
    "time": "kbench.figures.time_breakdown:TIME_BREAKDOWN",
    "hidden": "kbench.figures.hidden:HIDDEN",
    "pareto": "kbench.figures.pareto:PARETO",
    "speedup": "kbench.figures.speedup:SPEEDUP",
    "profile": "kbench.figures.profile:PROFILE",
    "iqm": "kbench.figures.aggregates:IQM",
    "improvement": "kbench.figures.aggregates:IMPROVEMENT",
    "robustness": "kbench.figures.robustness:ROBUSTNESS",
}


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure: what it shows, its data, its drawing.

    ``data`` raises ResultsError where the results do not hold what the figure shows.  ``draw`` takes that data.
    One that shows times says which runs they are without.  One of ``min_pairs`` is about all pairs together, and no
    experiment with fewer lacks it; likewise one of ``min_noises`` levels of label noise.
    """

    about: str
    data: "Callable[[Frames, Comparison], pd.DataFrame]"
    draw: "Callable[[pd.DataFrame, Options], Figure]"
    shows_times: bool = False
    min_pairs: int = 1
    min_noises: int = 1


def kinds_for(names: Sequence[str], comparison: "Comparison") -> list[str]:
    """Those of several names of ``FIGURES`` that an experiment with so many pairs and levels of noise can have."""
    n_pairs, n_noises = (len({getattr(row, name) for row in comparison.rows}) for name in ("pair", "noise"))
    kinds = {name: figure_kind(name) for name in names}
    return [name for name, kind in kinds.items() if kind.min_pairs <= n_pairs and kind.min_noises <= n_noises]


def figure_kind(name: str) -> FigureKind:
    """The figure with a name of ``FIGURES``."""
    return cast(FigureKind, pkgutil.resolve_name(FIGURES[name]))
