"""The report of a pair: what is equal to what was published, what differs and why, and what nobody published."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.lookup import names
from kbench.config.parse import did_you_mean, parse
from kbench.config.yaml_source import read_source
from kbench.data import dataset_info
from kbench.engine.schedule import learning_rate
from kbench.errors import ConfigError, KBenchError
from kbench.models.build import build_model
from kbench.verify.loop import loop_rows
from kbench.verify.published import MODELS, ModelFigure, RateFigure, rate_figure
from kbench.verify.row import Row
from kbench.verify.views import view_rows

RATE_POINTS = 4000  # updates at which rates are compared
SAME_RATE = 0.02  # of the peak: half a step of a warm-up; and a tenth of it for the integral
Part = Literal["model", "rate", "loop", "views", "values"]
PARTS: tuple[Part, ...] = ("model", "rate", "loop", "views", "values")


class Named(NamedTuple):
    """A pair of the papers, and the experiment that it stands in."""

    experiment: str
    pair: Pair

    @property
    def name(self) -> str:
        """EXPERIMENT/PAIR."""
        return f"{self.experiment}/{self.pair.name}"


class RatePoint(NamedTuple):
    """Both learning rates at an update."""

    epoch: float
    published: float
    here: float


@dataclass(frozen=True)
class PairReport:
    """All that is known of a pair beside what was published of it."""

    name: str  # EXPERIMENT/PAIR
    source: str
    note: str
    rows: tuple[Row, ...]
    rates: tuple[RatePoint, ...] = ()

    @property
    def unexplained(self) -> list[Row]:
        """What differs, and no file says why."""
        return [row for row in self.rows if row.state == "differs" and not row.why]

    def as_json(self) -> dict[str, Any]:
        """The object that ``kbench verify-pair --json`` prints for a pair."""
        return {
            "pair": self.name,
            "source": self.source,
            "note": self.note,
            "ok": not self.unexplained,
            "rows": [row._asdict() for row in self.rows],
        }

    @property
    def text(self) -> str:
        """The report in lines."""
        widths = [max(len(str(row[i])) for row in self.rows) for i in range(4)] if self.rows else []
        head = [self.name, f"source: {self.source}", *[f"note: {self.note}"] * bool(self.note), ""]
        lines = ["  ".join(str(row[i]).ljust(width) for i, width in enumerate(widths)) for row in self.rows]
        states = [
            f"{line}  {row.state}{f': {row.why}' if row.why else ''}"
            for line, row in zip(lines, self.rows, strict=True)
        ]
        return "\n".join([*head, *states])

    @property
    def markdown(self) -> str:
        """The report as a section of a page."""
        head = [f"## {self.name}", "", f"Source: {self.source}.", *["", f"Note: {self.note}."] * bool(self.note), ""]
        rows = [" | ".join(("", *map(str, row[:4]), row.state, row.why, "")).strip() for row in self.rows]
        table = [
            "| part | what | published | here | | why, or where it was read |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        return "\n".join([*head, *table, *rows, ""])


def papers_pairs() -> list[Named]:
    """The pairs of all experiment files that cite a paper, in the order of the files."""
    found = []
    for experiment, path in names("configs", ".yaml").items():
        try:
            spec = parse(ExperimentSpec, read_source(path))
        except ConfigError:  # one that is damaged is no pair of a paper's
            continue
        found += [Named(experiment, pair) for pair in spec.pairs if pair.paper]
    return found


def find_pairs(name: str) -> list[Named]:
    """The pairs that are meant by a name, EXPERIMENT/PAIR, an experiment's name, or ``all``.

    Raises:
        ConfigError: There is no such pair.
    """
    known = papers_pairs()
    found = known if name == "all" else [one for one in known if name in (one.name, one.pair.name, one.experiment)]
    if not found:
        raise ConfigError(
            f"no pair of the papers named {name!r}{did_you_mean(name, [one.pair.name for one in known], strict=True)}",
            hint="kbench list experiments shows the files, kbench list experiments NAME their pairs",
        )
    return found


def verify(named: Named, *, parts: Sequence[Part] = PARTS, steps: int = 3, draws: int = 200) -> PairReport:
    """Hold a pair against what was published of it.

    Args:
        named: The pair.
        parts: Of PARTS: what is looked at.
        steps: Updates that are compared with a plain loop.
        draws: Views whose distribution is compared with torchvision's and timm's.
    """
    pair, paper = named.pair, named.pair.paper
    assert paper is not None, "papers_pairs takes only such"
    figure = rate_figure(named.experiment, pair.name)
    points = rate_points(pair, figure) if figure and "rate" in parts else ()
    make: dict[Part, Callable[[], Iterator[Row]]] = {
        "model": lambda: _model_rows(pair),
        "rate": lambda: _rate_rows(pair, figure, points),
        "loop": lambda: loop_rows(pair, steps=steps),
        "views": lambda: view_rows(pair, draws=draws),
        "values": lambda: _value_rows(pair),
    }
    rows = [row for part in PARTS if part in parts for row in make[part]()]
    return PairReport(named.name, paper.source, paper.note, tuple(rows), tuple(points))


def _model_rows(pair: Pair) -> Iterator[Row]:
    info = dataset_info(pair.dataset)
    n_classes = info.n_classes if info else 0
    same = [key for key in MODELS if key[0] == pair.model]
    key = (pair.model, n_classes) if (pair.model, n_classes) in MODELS else next(iter(same), None)
    figure = MODELS[key] if key else None
    try:
        parameters, gflop = _counted(pair, key[1] if key else n_classes, figure.side if figure else 0)
    except KBenchError as error:
        yield Row("model", pair.model, "", "", "not done", error.message)
        return
    yield from _figure_rows(figure, parameters, gflop, n_classes=key[1] if key else n_classes)


def _figure_rows(figure: ModelFigure | None, parameters: int, gflop: float, *, n_classes: int) -> Iterator[Row]:
    what = f"parameters, {n_classes} classes"
    if figure is None:
        yield Row("model", what, "", f"{parameters:,}", "unpublished", "no figure was found")
        return
    same = parameters == figure.parameters
    why = figure.source if same else f"{figure.source}; {figure.why}" if figure.why else ""
    yield Row("model", what, f"{figure.parameters:,}", f"{parameters:,}", "equal" if same else "differs", why)
    if figure.gflop is None:
        yield Row("model", "forward [GFLOP]", "", f"{gflop:.4g}", "unpublished", "counted by torch, of a sample")
        return
    near = abs(gflop - figure.gflop) < 5e-4 * figure.gflop
    why = figure.source if near else figure.why
    yield Row("model", "forward [GFLOP]", f"{figure.gflop:.4g}", f"{gflop:.4g}", "equal" if near else "differs", why)


def _counted(pair: Pair, n_classes: int, side: int) -> tuple[int, float]:
    """Parameters, and operations of a forward pass of a sample [GFLOP]; nothing is computed.

    ``side`` of the images [pixel]; 0: as the pair trains on.
    """
    from torch.utils.flop_counter import FlopCounterMode

    info = dataset_info(pair.dataset)
    assert info is not None, "the pair was read"
    shape = info.shape_at(side or pair.recipe.image_size)
    with torch.device("meta"):
        model = build_model(pair.model, shape, n_classes, dropout=pair.recipe.dropout, drop_path=pair.recipe.drop_path)
        images = torch.zeros(1, *shape)
    with FlopCounterMode(display=False) as counter:
        model.eval()(images)
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 1e9


def rate_points(pair: Pair, figure: RateFigure) -> list[RatePoint]:
    """Both learning rates, at equally spaced updates of the training."""
    info, recipe = dataset_info(pair.dataset), pair.recipe
    n_batches = max(1, ((info.n_train if info else 0) or recipe.global_batch) // recipe.global_batch)
    total = n_batches * recipe.epochs
    updates = sorted({total * i // RATE_POINTS for i in range(RATE_POINTS)}) if total > RATE_POINTS else range(total)
    return [
        RatePoint(
            (update + 0.5) / n_batches,
            figure.rate(*divmod(update, n_batches), n_batches),
            learning_rate(recipe, (update + 0.5) / total),
        )
        for update in updates
    ]


def _rate_rows(pair: Pair, figure: RateFigure | None, points: Sequence[RatePoint]) -> Iterator[Row]:
    if figure is None or not points:
        yield Row("rate", "learning rate", "", f"{pair.recipe.lr:g}", "unpublished", "no schedule was published")
        return
    peak = max(point.published for point in points)
    share = sum(point.here for point in points) / sum(point.published for point in points)
    furthest = max(points, key=lambda point: abs(point.here - point.published))
    off = abs(furthest.here - furthest.published) / peak
    highest = max(point.here for point in points)
    for what, published, here, same in (
        ("peak", f"{peak:.6g}", f"{highest:.6g}", abs(highest / peak - 1) < SAME_RATE),
        ("integral, published = 1", "1", f"{share:.4f}", abs(share - 1) < SAME_RATE / 10),
        ("largest difference, of the peak", "0", f"{off:.2%} in epoch {furthest.epoch:.2f}", off < SAME_RATE),
    ):
        why = figure.source if same else f"{figure.why} ({figure.source})" if figure.why else ""
        yield Row("rate", what, published, here, "equal" if same else "differs", why)


def _value_rows(pair: Pair) -> Iterator[Row]:
    paper = pair.paper
    assert paper is not None
    given = pair.recipe.model_fields_set
    for key in pair.recipe.model_dump():
        if key in given:
            value = getattr(pair.recipe, key)
            text = ", ".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value)
            assumed = paper.assumed.get(key)
            yield Row(
                "values", key, "" if assumed else text, text, "assumed" if assumed else "published", assumed or ""
            )
