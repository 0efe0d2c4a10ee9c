"""Invented results: trainings as they look, without training; and figures after their layout."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from kbench.analysis.compare import compare
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.figures.layout import options_for
from kbench.figures.registry import figure_kind
from kbench.records.store import EPOCH_COLUMNS, RUN_COLUMNS

SEVEN = ("baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo")
N_SAMPLES = 1000
SHARES = {"data_s": 0.1, "forward_s": 0.3, "backward_s": 0.45, "update_s": 0.1, "plan_s": 0.04, "sync_s": 0.01}
LOOKS_AT = {"sb": "select_s", "iswr": "select_s", "kakurenbo": "refresh_s"}  # and what pays for it


def invented(
    strategies: Sequence[str] = SEVEN,
    pairs: Sequence[str] = ("p",),
    seeds: int = 3,
    epochs: int = 30,
    metric: str | None = "top-1 accuracy",
    **columns: Any,
) -> Frames:
    """Done runs of slower and faster strategies with some noise; ``columns`` replaces those of the epochs."""
    rng = np.random.default_rng(0)
    parts = [
        _run(pair, strategy, place, seed, epochs, rng)
        for pair in pairs
        for place, strategy in enumerate(strategies)
        for seed in range(seeds)
    ]
    return _frames(pd.concat(parts, ignore_index=True).assign(**columns), metric)


def _frames(rows: pd.DataFrame, metric: str | None) -> Frames:
    rows["elapsed_s"] = rows.groupby("run_id")["train_s"].cumsum()
    rows = rows.reindex(columns=[column.name for column in EPOCH_COLUMNS])
    return Frames("invented", rows, _runs(rows, metric))


def _run(pair: str, strategy: str, place: int, seed: int, epochs: int, rng: np.random.Generator) -> pd.DataFrame:
    family = strategy.split("-")[0]
    epoch = np.arange(epochs)
    ceiling = 0.3 * np.select([epoch < epochs // 3, epoch < 2 * epochs // 3], [1.0, 0.8], 0.6)
    hidden = {"kakurenbo": ceiling * (1 - 0.8 * np.exp(-epoch / 4)), "random": np.full(epochs, 0.25)}
    hides = (N_SAMPLES * hidden.get(family, np.zeros(epochs))).round()
    kept = np.full(epochs, 0.5) if family == "sb" else np.ones(epochs)
    train_s = rng.uniform(0.9, 1.1, epochs) * (1 - 0.04 * place)
    looks_at = {LOOKS_AT[family]: 0.15 * train_s} if family in LOOKS_AT else {}
    own = {
        "experiment": "invented", "pair": pair, "model": pair, "dataset": pair, "strategy": strategy, "seed": seed,
        "ranks": 1, "run_id": f"{pair}.{strategy}.s{seed}", "match_key": f"{pair}{seed}", "attempt": 1,
        "phase": "train", "epoch": epoch, "lr": 0.1, "lr_scale": 1.0, "n_samples": N_SAMPLES, "n_hidden": hides,
        "n_trained": (N_SAMPLES - hides) * kept, "n_scored": 0, "n_refreshed": hides, "n_dropped": 0,
        "ceiling": ceiling if family == "kakurenbo" else np.nan,
        "val_acc1": 0.97 - 0.6 * np.exp(-epoch / 4) - 0.004 * place + rng.normal(0, 0.002, epochs),
        "train_s": train_s, "eval_s": 0.1, "cpu_s": train_s, "background_s": 0.0,
        "select_s": 0.0, "refresh_s": 0.0, **looks_at,
        "ended_at": datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    rest = train_s * (0.85 if looks_at else 1.0)
    return pd.DataFrame(own | {name: share * rest for name, share in SHARES.items()})


def _runs(epochs: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    identity = ["experiment", "pair", "model", "dataset", "strategy", "seed", "ranks", "match_key"]
    groups = epochs.groupby("run_id", sort=False)
    runs = groups[identity].first().reset_index()
    sums = groups[["train_s", "eval_s", "n_trained", "n_scored", "n_refreshed"]].sum(min_count=1).reset_index(drop=True)
    runs = runs.join(sums.rename(columns={"train_s": "total_train_s", "eval_s": "total_eval_s"}))
    runs["best_acc1"] = groups["val_acc1"].max().to_numpy()
    runs["final_acc1"] = groups["val_acc1"].last().to_numpy()
    share = (epochs["n_hidden"] / epochs["n_samples"]).groupby(epochs["run_id"], sort=False)
    runs["hidden_mean"] = share.mean().to_numpy()
    place = {"state": "done", "attempts": 1, "metric": metric, "device_name": "one cpu", "max_parallel": 1}
    found = runs.assign(**place).reindex(columns=[column.name for column in RUN_COLUMNS])
    return found.astype({column.name: "str" for column in RUN_COLUMNS if column.type is str})


class Book:
    """Results of which a test says every accuracy and every time."""

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []

    def run(
        self,
        strategy: str,
        seed: int,
        accuracy: Sequence[float],
        seconds: Sequence[float],
        *,
        score: Sequence[tuple[float, float]] = (),
        pair: str = "p",
        **columns: Any,
    ) -> None:
        """A run: an accuracy and a time per epoch, ``score`` likewise for an earlier phase."""
        rng = np.random.default_rng(0)
        for phase, told in (("score", score), ("train", [*zip(accuracy, seconds, strict=True)])):
            rows = _run(pair, strategy, 0, seed, len(told), rng)
            own = {"phase": phase, "val_acc1": [a for a, _ in told], "train_s": [float(s) for _, s in told]}
            self._parts.append(rows.assign(**own, **columns))

    def frames(self) -> Frames:
        """All of it."""
        return _frames(pd.concat([part for part in self._parts if len(part)], ignore_index=True), "top1")


@pytest.fixture
def book() -> Book:
    """Results without any run."""
    return Book()


class Drawn(NamedTuple):
    """A figure after its layout, the data that it shows, and what measures it."""

    figure: Figure
    data: pd.DataFrame
    renderer: RendererAgg

    def texts(self) -> Iterator[tuple[str, Bbox]]:
        """Every text that is drawn, with its place on the canvas."""
        for axes in self.figure.axes:
            named: list[Text] = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            yield from ((text.get_text(), text.get_window_extent(self.renderer)) for text in named if text.get_text())
            for axis in (axes.xaxis, axes.yaxis):
                box = axis.get_tightbbox(self.renderer)
                if box is not None:
                    yield f"the ticks of {axis}", box
        for legend in self.figure.legends:
            yield from ((text.get_text(), text.get_window_extent(self.renderer)) for text in legend.get_texts())

    @property
    def named(self) -> list[str]:
        """What the key names."""
        return [text.get_text() for legend in self.figure.legends for text in legend.get_texts()]


def lines_of(axes: Axes) -> dict[str, Line2D]:
    """The labelled lines of a panel: strategies."""
    found = {str(line.get_label()): line for line in axes.get_lines()}
    return {name: line for name, line in found.items() if not name.startswith("_")}


@pytest.fixture(scope="session")
def lines() -> Callable[[Axes], dict[str, Line2D]]:
    """``lines(axes)``: the line of each strategy."""
    return lines_of


@pytest.fixture(scope="session")
def invent() -> Callable[..., Frames]:
    """``invent(strategies, pairs, seeds, epochs)``: frames of invented results."""
    return invented


@pytest.fixture(scope="session")
def draw() -> Callable[..., Drawn]:
    """``draw("curves", frames, size="one")``: a figure, laid out; the same frames are compared once."""
    compared: dict[tuple[int, str], tuple[Frames, Comparison]] = {}  # with the frames, so that no others get their id

    def drawn(kind: str, frames: Frames, *, size: str = "screen", baseline: str = "baseline") -> Drawn:
        if (id(frames), baseline) not in compared:
            compared[id(frames), baseline] = frames, compare(frames, baseline=baseline, targets=())
        comparison = compared[id(frames), baseline][1]
        data = figure_kind(kind).data(frames, comparison)
        figure = figure_kind(kind).draw(data, options_for(comparison, size))
        canvas = FigureCanvasAgg(figure)
        figure.draw_without_rendering()  # lays it out
        return Drawn(figure, data, canvas.get_renderer())

    return drawn


@pytest.fixture(scope="session")
def data_of() -> Callable[..., pd.DataFrame]:
    """``data_of("curves", frames)``: what a figure shows."""

    def data(kind: str, frames: Frames, *, baseline: str = "baseline") -> pd.DataFrame:
        return figure_kind(kind).data(frames, compare(frames, baseline=baseline, targets=()))

    return data
