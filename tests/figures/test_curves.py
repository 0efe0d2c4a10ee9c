"""Figures: first the data, then what is drawn of it."""

import csv
import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

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
from kbench.analysis.curve import Curve, curves
from kbench.analysis.frame import load
from kbench.analysis.rows import Comparison, Row
from kbench.figures.curves import accuracy_by_epoch, curve_data, save, time_to_accuracy
from kbench.records.folders import ExperimentDir

SEVEN = ("baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo")


def curve(strategy: str, seed: int, seconds: list[float], accuracy: list[float], pair: str = "p") -> Curve:
    return Curve(
        pair=pair, strategy=strategy, seed=seed, match_key=f"{pair}{seed}", start_s=0.0,
        seconds=tuple(seconds), accuracy=tuple(accuracy),
    )  # fmt: skip


def comparison(changes: dict[tuple[str, str], float | None]) -> Comparison:
    """A comparison in which nothing but the changes of time matters."""
    empty = {field.name: None for field in dataclasses.fields(Row)} | {"targets": ()}
    rows = [
        Row(**empty | {"pair": pair, "strategy": strategy, "time_diff": change})  # type: ignore[arg-type]
        for (pair, strategy), change in changes.items()
    ]
    return Comparison(experiment="e", baseline="baseline", rows=tuple(rows), warnings=())


def made(strategies: tuple[str, ...] = SEVEN, pairs: tuple[str, ...] = ("p",), epochs: int = 30) -> pd.DataFrame:
    """The data of a figure with curves as trainings have them: three seeds, slower and faster strategies."""
    rng = np.random.default_rng(0)
    found = []
    for pair in pairs:
        for place, strategy in enumerate(strategies):
            for seed in range(3):
                seconds = np.cumsum(rng.uniform(0.9, 1.1, epochs) * (1 - 0.07 * place))
                accuracy = 0.97 - 0.6 * np.exp(-np.arange(epochs) / 4) - 0.005 * place + rng.normal(0, 0.002, epochs)
                found.append(curve(strategy, seed, list(seconds), list(accuracy), pair))
    changes = {(pair, s): None if s == "baseline" else -0.07 * i for pair in pairs for i, s in enumerate(strategies)}
    return curve_data(found, comparison(changes))


def drawn(kind: str, data: pd.DataFrame) -> tuple[Figure, RendererAgg]:
    """A figure after its layout, and what measures it."""
    figure = time_to_accuracy(data, "baseline") if kind == "curves" else accuracy_by_epoch(data)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas.get_renderer()


def texts(figure: Figure, renderer: RendererAgg) -> Iterator[tuple[str, Bbox]]:
    """Every text that is drawn, with its place on the canvas."""
    for axes in figure.axes:
        named: list[Text] = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        legend = axes.get_legend()
        named += legend.get_texts() if legend else []
        yield from ((text.get_text(), text.get_window_extent(renderer)) for text in named if text.get_text())
        for axis in (axes.xaxis, axes.yaxis):
            box = axis.get_tightbbox(renderer)
            if box is not None:
                yield f"the ticks of {axis}", box


def strategy_lines(axes: Axes) -> list[Line2D]:
    return [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]


class TestData:
    def test_it_has_the_mean_and_the_range_over_seeds_of_each_epoch(self) -> None:
        found = curve_data(
            [
                *(curve("baseline", seed, [9.0], [0.9]) for seed in range(2)),
                curve("sb", 0, [1.0, 2.0], [0.5, 0.75]),
                curve("sb", 1, [3.0, 6.0], [0.25, 1.0]),
            ],
            comparison({("p", "sb"): -0.25}),
        )
        columns = ["epoch", "seconds", "seconds_min", "seconds_max", "acc", "acc_min", "acc_max", "seeds", "time_diff"]
        assert found[found["strategy"] == "sb"][columns].to_numpy().tolist() == [
            [0, 2.0, 1.0, 3.0, 0.375, 0.25, 0.5, 2, -0.25],
            [1, 4.0, 2.0, 6.0, 0.875, 0.75, 1.0, 2, -0.25],
        ]

    def test_pairs_and_strategies_are_kept_apart(self) -> None:
        found = curve_data(
            [
                curve("baseline", 0, [1.0], [0.5]),
                curve("baseline", 0, [7.0], [0.9], pair="q"),
                curve("iswr", 0, [3.0], [0.7]),
            ],
            comparison({}),
        )
        shown = list(found[["pair", "strategy", "seconds", "acc"]].itertuples(index=False, name=None))
        assert shown == [("p", "baseline", 1.0, 0.5), ("q", "baseline", 7.0, 0.9), ("p", "iswr", 3.0, 0.7)]

    def test_a_seed_without_a_baseline_is_left_out_as_in_the_table(self) -> None:
        found = curve_data(
            [
                curve("baseline", 0, [1.0], [0.5]),
                curve("sb", 0, [3.0], [0.7]),
                curve("sb", 1, [100.0], [0.1]),
            ],
            comparison({("p", "sb"): 2.0}),
        )
        assert found["seconds"].tolist() == [1.0, 3.0]

    def test_who_has_no_change_of_time_has_none_in_the_data(self) -> None:
        found = curve_data([curve("baseline", 0, [1.0], [0.5])], comparison({("p", "baseline"): None}))
        assert found["time_diff"].isna().tolist() == [True]

    def test_the_change_of_time_is_that_of_the_table(self, small_folder: Path, tmp_path: Path) -> None:
        shutil.copytree(small_folder / "results" / "small", tmp_path / "small")
        frames = load(ExperimentDir(tmp_path / "small"))
        table = compare(frames, baseline="baseline", targets=[])
        data = curve_data(list(curves(frames)), table)
        shown = data.dropna(subset="time_diff").groupby("strategy")["time_diff"].unique()
        expected = {row.strategy: [row.time_diff] for row in table.rows if row.time_diff is not None}
        assert {str(name): list(values) for name, values in shown.items()} == expected

    def test_the_last_second_of_a_curve_is_the_training_time_of_the_table(
        self, small_folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(small_folder / "results" / "small", tmp_path / "small")
        frames = load(ExperimentDir(tmp_path / "small"))
        table = compare(frames, baseline="baseline", targets=[])
        ends = curve_data(list(curves(frames)), table).groupby("strategy")["seconds"].last()
        assert ends.to_dict() == pytest.approx({row.strategy: row.train_s for row in table.rows})


class TestFiles:
    @pytest.mark.parametrize(
        ("ending", "begins"), [("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-"), ("svg", b"<?xml")], ids=["png", "pdf", "svg"]
    )
    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_a_figure_is_written_in_the_format_of_its_ending(
        self, tmp_path: Path, kind: str, ending: str, begins: bytes
    ) -> None:
        data = made()
        path = save(drawn(kind, data)[0], data, tmp_path / "new" / f"figure.{ending}")
        assert path.read_bytes().startswith(begins)

    def test_the_data_that_a_figure_shows_stands_beside_it(self, tmp_path: Path) -> None:
        data = made()
        save(drawn("curves", data)[0], data, tmp_path / "figure.pdf")
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "figure.csv"), data)

    def test_what_is_not_known_is_an_empty_cell(self, tmp_path: Path) -> None:
        data = made(epochs=1)
        save(drawn("curves", data)[0], data, tmp_path / "figure.png")
        with (tmp_path / "figure.csv").open() as file:
            cells = {row["strategy"]: row["time_diff"] for row in csv.DictReader(file)}
        assert [name for name, cell in cells.items() if cell == ""] == ["baseline"]

    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_a_pdf_embeds_its_fonts_as_truetype(self, tmp_path: Path, kind: str) -> None:
        data = made()
        written = save(drawn(kind, data)[0], data, tmp_path / "figure.pdf").read_bytes()
        kinds = set(re.findall(rb"/Subtype\s*/(Type\d|TrueType|CIDFontType\d)", written))
        assert kinds == {b"Type0", b"CIDFontType2"}
        assert b"/FontFile2" in written

    def test_the_text_of_an_svg_stays_text(self, tmp_path: Path) -> None:
        data = made()
        written = save(drawn("curves", data)[0], data, tmp_path / "figure.svg").read_text()
        assert re.search(r"<text[^>]*>kakurenbo  -42.0 %</text>", written)


class TestCanvas:
    @pytest.mark.parametrize("pairs", [("p",), ("p", "q"), ("p", "q", "r")], ids=["one", "two", "three"])
    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_no_text_of_seven_strategies_is_cut_off(self, kind: str, pairs: tuple[str, ...]) -> None:
        figure, renderer = drawn(kind, made(pairs=pairs))
        room = figure.bbox.padded(0.5)
        outside = [text for text, box in texts(figure, renderer) if not np.allclose(Bbox.union([box, room]), room)]
        assert outside == []

    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_long_labels_and_slow_strategies_are_not_cut_off(self, kind: str) -> None:
        names = ("kakurenbo-without-learning-rate", "baseline", "selective-backprop-at-half-of-the-data")
        figure, renderer = drawn(kind, made(names))
        room = figure.bbox.padded(0.5)
        outside = [text for text, box in texts(figure, renderer) if not np.allclose(Bbox.union([box, room]), room)]
        assert outside == []

    def test_the_names_of_strategies_do_not_lie_on_one_another(self) -> None:
        figure, renderer = drawn("curves", made())
        boxes = [text.get_window_extent(renderer) for text in figure.axes[1].texts if text.get_text()]
        assert len(boxes) == len(SEVEN)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    @pytest.mark.parametrize("pairs", [("p",), ("p", "q")], ids=["one pair", "two pairs"])
    def test_the_legend_of_accuracy_by_epoch_lies_on_no_curve(self, pairs: tuple[str, ...]) -> None:
        figure, renderer = drawn("epochs", made(pairs=pairs))
        (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
        assert legend is not None
        place = legend.get_window_extent(renderer)
        points = [
            axes.transData.transform(line.get_xydata()) for axes in figure.axes for line in strategy_lines(axes)
        ]  # fmt: skip
        assert len(points) == len(SEVEN) * len(pairs)
        assert not any(place.contains(x, y) for curve in points for x, y in curve)
        assert not any(place.overlaps(axes.get_window_extent(renderer)) for axes in figure.axes)


class TestPanels:
    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_every_pair_has_a_panel(self, kind: str) -> None:
        figure, _ = drawn(kind, made(("baseline", "sb"), ("resnet-images", "deepcam-climate", "third")))
        titles = [axes.get_title() for axes in figure.axes if strategy_lines(axes)]
        assert [title.split(":")[0] for title in titles] == ["resnet-images", "deepcam-climate", "third"]

    @pytest.mark.parametrize(("kind", "x"), [("curves", "seconds"), ("epochs", "epoch")])
    def test_a_curve_is_the_mean_of_the_data_in_percent(self, kind: str, x: str) -> None:
        data = made()
        figure, _ = drawn(kind, data)
        (line,) = [line for line in strategy_lines(figure.axes[0]) if line.get_label() == "forget"]
        own = data[data["strategy"] == "forget"]
        expected = np.column_stack([own[x] + (kind == "epochs"), 100 * own["acc"]])
        np.testing.assert_allclose(line.get_xydata(), expected)

    def test_the_panel_below_names_each_strategy_with_its_change_of_time(self) -> None:
        figure, _ = drawn("curves", made(("baseline", "random", "mine")))
        named = [text.get_text() for text in figure.axes[1].texts if text.get_text()]
        assert named == ["baseline", "random  -7.0 %", "mine  -14.0 %"]

    @pytest.mark.parametrize("kind", ["curves", "epochs"])
    def test_a_strategy_looks_the_same_in_every_panel(self, kind: str) -> None:
        both = made(("baseline", "mine", "yours"), ("p", "q"))
        data = both[~((both["pair"] == "p") & (both["strategy"] == "mine"))]  # mine failed on p
        figure, _ = drawn(kind, data)
        lines = [line for axes in figure.axes for line in strategy_lines(axes) if line.get_label() == "yours"]
        assert len(lines) == 2
        assert len({(line.get_color(), str(line.get_marker())) for line in lines}) == 1

    def test_the_legend_names_every_strategy_of_any_panel(self) -> None:
        both = made(("baseline", "mine", "yours"), ("p", "q"))
        data = both[~((both["pair"] == "q") & (both["strategy"] == "mine"))]  # mine failed on q
        figure, _ = drawn("epochs", data)
        named = [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
        assert sorted(named) == ["baseline", "mine", "yours"]

    def test_a_single_epoch_can_be_drawn(self) -> None:
        figure, _ = drawn("curves", made(("baseline", "sb"), epochs=1))
        assert len(strategy_lines(figure.axes[0])) == 2
