"""What share of the samples an epoch hides, may hide, and trains on."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.layout import Options, add_legend, lay_out, legend_line, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.seed_stats import GROUP_KEYS, draw_band, last_epochs, over_seeds, seeds_text
from kbench.figures.style import FAINT, Look

COLUMNS = [*GROUP_KEYS, "share", "epoch", "value", "value_min", "value_max", "ceiling", "moved_back", "seeds"]
SHARES = {"hidden": "left out by the plan [%]", "selected": "trained on, of all [%]"}
CEILING: Any = {"lw": 0.7, "ls": "-"}
BACK: Any = {"hatch": "////", "facecolor": "none", "lw": 0, "alpha": 0.45}


def hidden_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Shares [fraction] per pair, strategy and epoch of the last phase, from 1; mean and range over seeds.

    ``share`` is *hidden* (left out by the plan of the epoch) for strategies that hide, with the ``ceiling`` and what
    was ``moved_back`` below it where they name one; and *selected* (trained on) for those that drop samples within
    batches.  Raises ResultsError when none does either, or nothing is known of it.
    """
    rows = last_epochs(frames, comparison)
    n = rows["n_samples"]
    rows = rows.assign(
        epoch=rows["epoch"] + 1,
        hidden=rows["n_hidden"] / n,
        selected=rows["n_trained"] / n,
        unselected=n - rows["n_hidden"] - rows["n_dropped"] - rows["n_trained"],
        ceiling=rows["ceiling"].astype(float),
    )
    most = rows.groupby(GROUP_KEYS)[["n_hidden", "ceiling", "unselected"]].max()
    hides = most.index[(most["n_hidden"] > 0) | (most["ceiling"] > 0)]
    parts = [_shares(rows, "hidden", hides), _shares(rows, "selected", most.index[most["unselected"] > 0])]
    parts = [part for part in parts if not part.empty]
    if not parts:
        raise ResultsError(
            f"{frames.name}: no strategy is known to hide samples or to select among them: no share to draw",
            hint="the other kinds are curves, epochs, time, pareto, speedup",
        )
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def _shares(rows: pd.DataFrame, share: str, groups: pd.Index) -> pd.DataFrame:
    own = rows[pd.MultiIndex.from_frame(rows[GROUP_KEYS]).isin(groups)]
    if own.empty:
        return own
    found = over_seeds(own.rename(columns={share: "value"}), ["value"])
    found.insert(2, "share", share)
    if share == "hidden":
        by_epoch = own.groupby([*GROUP_KEYS, "epoch"], sort=False)
        found = found.merge(
            by_epoch[["ceiling", "n_samples"]].mean().reset_index(), on=[*GROUP_KEYS, "epoch"], how="left"
        )
        moved_back = found["ceiling"] - found["value"]
        rounding = moved_back * found.pop("n_samples") < 1  # a ceiling need not be a whole number of samples
        found["moved_back"] = moved_back.mask(rounding, 0.0)
    return found


@with_settings
def draw_hidden(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per pair and share: what is hidden under its ceiling, and what is selected."""
    panels = list(dict.fromkeys(zip(data["pair"], data["share"], strict=True)))
    panels.sort(key=lambda panel: list(data["pair"].unique()).index(panel[0]))
    layout = lay_out(len(panels), options, columns=2 if len(panels) > 1 else 1)
    for axes, (pair, share) in zip(layout.panels, panels, strict=True):
        own = data[(data["pair"] == pair) & (data["share"] == share)]
        for strategy in own["strategy"].unique():
            rows, look = own[own["strategy"] == strategy], options.looks[strategy]
            if share == "hidden":
                _draw_ceiling(axes, rows, look)
            draw_band(axes, rows, look, x="epoch", y="value", steps=True)  # else it would cross the ceiling
        set_title(axes, f"{pair}: {seeds_text(own['seeds'])}", layout.panel_in)
        axes.set_ylabel(SHARES[share])
        axes.set_xlabel("epoch")
        axes.set_ylim(0, min(101, 114 * np.nanmax(own[["value_max", "ceiling"]].to_numpy(dtype=float)) + 1))
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", **FAINT)
    add_legend(layout.figure, _entries(data, options))
    return layout.figure


def _draw_ceiling(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    """The ceiling as steps, an epoch wide each, and hatched what was moved back; none where the two are one."""
    if not _moves_back(rows):
        return
    edges = np.append(rows["epoch"].to_numpy(dtype=float) - 0.5, float(rows["epoch"].iloc[-1]) + 0.5)
    ceiling = 100 * rows["ceiling"].to_numpy(dtype=float)
    axes.stairs(ceiling, edges, baseline=None, color=look.color, **CEILING)
    axes.stairs(
        ceiling, edges, baseline=100 * rows["value"].to_numpy(dtype=float), fill=True, edgecolor=look.color, **BACK
    )


def _moves_back(rows: pd.DataFrame) -> bool:
    return bool((rows["moved_back"] > 0).any())


def _entries(data: pd.DataFrame, options: Options) -> list[Artist]:
    shown = set(data["strategy"])
    entries: list[Artist] = [legend_line(name, look) for name, look in options.looks.items() if name in shown]
    if _moves_back(data):
        entries.append(Line2D([], [], color="#808080", label="its ceiling", **CEILING))
        entries.append(Patch(edgecolor="#808080", label="moved back", **BACK))
    return entries


HIDDEN = FigureKind("shares hidden, moved back and selected, by epoch", hidden_data, draw_hidden)
