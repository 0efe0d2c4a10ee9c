"""Performance profiles: on what fraction of the pairs each strategy is within a factor of the fastest."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kbench.analysis.across_pairs import MIN_PAIRS
from kbench.analysis.frame import Frames
from kbench.analysis.performance_profile import MOST, steps
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.across import ALL_PAIRS
from kbench.errors import ResultsError
from kbench.figures.layout import Options, add_legend, lay_out, legend_line, set_title, with_settings
from kbench.figures.registry import FigureKind
from kbench.figures.style import FAINT


def profile_data(frames: Frames, comparison: Comparison) -> pd.DataFrame:
    """Per target and strategy the corners of its profile: ``tau``, the ``fraction`` of the pairs within it.

    ``score`` is the area.  Raises ResultsError where there is no profile.
    """
    across = comparison.across
    rows = [
        {
            "pair": ALL_PAIRS, "target": profile.requested, "strategy": row.strategy, "tau": tau, "fraction": fraction,
            "n_pairs": len(profile.ratios), "score": profile.score,
        }
        for row in (across.rows if across else ())
        for profile in row.profiles
        for tau, fraction in steps(profile.ratios)
    ]  # fmt: skip
    if not rows:
        raise ResultsError(f"{frames.name}: no performance profile: {_why(comparison)}")
    return pd.DataFrame(rows).sort_values("target", kind="stable", ignore_index=True)


def _target_text(target: str) -> str:
    """A target in a title."""
    accuracy, _, rule = target.partition(":")
    accuracy_text = f"{100 * float(accuracy):g} %" if accuracy[0].isdigit() else accuracy
    return f"{accuracy_text} ({rule})" if rule not in ("", "first") else accuracy_text


def _why(comparison: Comparison) -> str:
    across = comparison.across
    if across is None:
        return f"it takes {MIN_PAIRS} pairs or more"
    return "; ".join(across.left_out) or "nothing was run beside the baseline"


@with_settings
def draw_profile(data: pd.DataFrame, options: Options) -> Figure:
    """A panel per target; the legend has the scores, target by target."""
    targets = list(data["target"].unique())
    layout = lay_out(len(targets), options)
    for axes, target in zip(layout.panels, targets, strict=True):
        own = data[data["target"] == target]
        _draw(axes, own, options)
        set_title(axes, f"time to {_target_text(target)} on {own['n_pairs'].iloc[0]} pairs", layout.panel_in)
    scores = data.drop_duplicates(["target", "strategy"]).groupby("strategy", sort=False)["score"]
    names = {str(name): f"{name}  {', '.join(f'{score:.2f}' for score in own)}" for name, own in scores}
    entries = [legend_line(names[name], look) for name, look in options.looks.items() if name in names]
    add_legend(layout.figure, entries)
    return layout.figure


def _draw(axes: Axes, own: pd.DataFrame, options: Options) -> None:
    for strategy, rows in own.groupby("strategy", sort=False):
        look = options.looks[str(strategy)]
        line = axes.plot(
            rows["tau"], 100 * rows["fraction"], color=look.color, ls=look.dash, drawstyle="steps-post",
            markevery=slice(0, len(rows) - 1), **look.marker_keywords,
        )  # fmt: skip
        line[0].set_label(str(strategy))
    last = own.loc[own["tau"] < MOST, "tau"].max()
    end = float(min(MOST, 1 + max(0.1, 1.15 * (last - 1))))  # nothing changes beyond
    axes.set_xlim(1 - 0.02 * (end - 1), end)
    axes.set_ylim(-3, 103)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(1, end)
    axes.set_xticks([tick for tick in ticks if 1 <= tick <= end])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xlabel("time, of the fastest strategy's" + f" (unchanged up to {MOST:g}x)" * (end < MOST))
    axes.set_ylabel("pairs within that [%]")
    axes.grid(**FAINT)


PROFILE = FigureKind(
    "performance profile: on what fraction of the pairs a strategy is within a factor of the fastest, and its area",
    profile_data,
    draw_profile,
    shows_times=True,
    min_pairs=MIN_PAIRS,
)
