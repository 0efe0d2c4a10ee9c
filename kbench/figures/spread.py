"""Mean and range over seeds, where all of them have a value: no seed drops out of a mean in silence."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from kbench.figures.matched import WHO
from kbench.figures.style import Look


def over_seeds(rows: pd.DataFrame, columns: Sequence[str], *, by: str = "epoch") -> pd.DataFrame:
    """Per pair, strategy and ``by`` the mean of each column, its ``_min`` and ``_max``, and how many ``seeds``.

    A group in which a seed of the strategy has no value in any of the columns is left out.
    """
    runs = rows.groupby(WHO, sort=False)["match_key"].nunique().rename("runs")
    groups = rows.dropna(subset=list(columns)).groupby([*WHO, by], sort=False)
    found = groups["match_key"].nunique().rename("seeds").to_frame()
    for column in columns:
        found[column] = groups[column].mean()
        found[f"{column}_min"] = groups[column].min()
        found[f"{column}_max"] = groups[column].max()
    whole = found.reset_index().merge(runs.reset_index(), on=WHO, how="left").query("seeds == runs")
    named = [f"{column}{end}" for column in columns for end in ("", "_min", "_max")]
    return whole[[*WHO, by, *named, "seeds"]].reset_index(drop=True)


def said(data: pd.DataFrame) -> str:
    """What a panel shows of its seeds, for its title."""
    seeds = sorted({int(n) for n in data["seeds"]})
    return "one seed" if seeds == [1] else f"mean and range of {'-'.join(map(str, seeds))} seeds"


def draw_band(
    axes: Axes, own: pd.DataFrame, look: Look, *, x: str, y: str, scale: float = 100, steps: bool = False
) -> None:
    """The mean of a strategy with markers at every few epochs, the range over seeds behind it."""
    at = own[x].to_numpy(dtype=float)
    low, mean, high = (scale * own[f"{y}{end}"].to_numpy(dtype=float) for end in ("_min", "", "_max"))
    axes.fill_between(at, low, high, color=look.color, alpha=0.13, lw=0, step="mid" if steps else None)
    marks = marks_of(len(own), max(1, len(own) // 8))
    (line,) = axes.plot(at, mean, color=look.color, ls=look.dash, markevery=marks, **look.mark)
    line.set_label(str(own["strategy"].iloc[0]))
    line.set_drawstyle("steps-mid" if steps else "default")


def marks_of(n: int, every: int) -> list[int]:
    """Markers at every few epochs, counted from the end, so that each curve's end has one."""
    return list(range(n - 1, -1, -every))[::-1]
