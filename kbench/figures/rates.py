"""The learning rate of a pair over its epochs, beside the published one."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from kbench.errors import ResultsError
from kbench.figures.layout import save
from kbench.figures.style import RC
from kbench.files import reason

COLUMNS = ("epoch", "published", "here")


def draw_rates(title: str, points: Sequence[tuple[float, float, float]], path: Path) -> Path:
    """Draw both rates, with the data beside the figure as .csv.

    Args:
        title: What they are of.
        points: Epoch, published rate and rate here.
        path: A file: .png, .pdf or .svg.

    Raises:
        ResultsError: There are no rates, or the file cannot be written.
    """
    if not points:
        raise ResultsError(f"{title}: no schedule was published, so that there are no two rates to draw")
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise ResultsError(f"--out {path}: must end in .png, .pdf or .svg")
    data = pd.DataFrame(points, columns=list(COLUMNS))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(4.6, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.plot(data["epoch"], data["published"], color="#bbbbbb", linewidth=3, label="published")
        axes.plot(data["epoch"], data["here"], color="#000000", linewidth=1, label="here")
        axes.set_title(title, loc="left")
        axes.set_xlabel("epoch")
        axes.set_ylabel("learning rate")
        axes.set_xlim(0, float(data["epoch"].max()))
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    try:
        return save(figure, data, path)
    except OSError as error:
        raise ResultsError(f"{error.filename or path}: cannot be written: {reason(error)}") from error
