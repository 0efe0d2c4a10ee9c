"""Published numbers as tables and as JSON: beside measured ones, and held against imported logs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from kbench.analysis.tables.model import NONE, Cell, Line, Number, Table
from kbench.papers.log_evidence import JudgedCell
from kbench.papers.publications import table_title
from kbench.papers.published_vs_measured import PublishedVsMeasured

NAMES: Mapping[str, str] = {
    "best_acc": "best accuracy",
    "final_acc": "final accuracy",
    "acc": "accuracy",
    "acc_change": "change of accuracy",
    "acc_diff": "accuracy, difference from the baseline",
    "error": "final error",
    "loss": "training loss",
    "time": "training time",
    "time_change": "change of training time",
    "speedup": "speed-up",
    "epochs": "epochs to a target",
    "saved": "cost saved",
    "hidden": "mean share hidden",
}
MEASURED_NOTES = (
    "here: mean over seeds. expected: where a published number lies with 95 % if it comes from the same distribution "
    "as the measured runs (prediction interval: Student's t, the runs behind it, one where that is not said, and its "
    "rounding); within, outside: of that. Outside does not mean wrong.",
    "Differences from the baseline are compared where epochs and parameters agree, accuracies themselves where the "
    "batch agrees as well; times depend on the machine and are not compared. Published differences are computed "
    "from the printed values.",
)
EVIDENCE_NOTES = (
    "supported: the log of that run, taken by its name, rounds to what is printed; of times: its epochs take up at "
    "least 95 % of it. contradicted: a whole log gives another number. undecided: no log, or part of one.",
)


def measured_tables(found: Sequence[PublishedVsMeasured]) -> list[Table]:
    """A table for each place in a publication and quantity, measured numbers beside the printed ones."""
    groups: dict[tuple[str, ...], list[PublishedVsMeasured]] = {}
    for one in found:
        groups.setdefault((one.pair, one.publication, one.where, one.quantity, one.unit), []).append(one)
    header = ("strategy", "published", "here", "expected", "difference", "verdict")
    return [
        Table(
            "published",
            f"{pair}: beside {publication}, {where}: {NAMES[quantity]} [{unit}]",
            header,
            tuple(Line(pair, one.strategy, tuple(_measured_cells(one))) for one in group),
            MEASURED_NOTES,
        )
        for (pair, publication, where, quantity, unit), group in groups.items()
    ]


def _measured_cells(one: PublishedVsMeasured) -> Iterator[Cell]:
    key = f"published_{one.publication}_{one.where}_{one.quantity}_{one.at}".replace(" ", "_")
    form = f".{len(one.printed.partition('.')[2])}f"
    at = f" ({one.at})" if one.at else ""
    yield Cell(f"{one.printed}{at}", (Number(key, one.published, one.printed),))
    yield _number(f"{key}_here", one.here, form if one.quantity != "acc_diff" else f"+{form}")
    ends = [_number(f"{key}_{end}", value, form) for end, value in _ends(one)]
    text = f"[{ends[2].text}, {ends[3].text}]" if one.expected else ""
    yield Cell(text, tuple(number for end in ends for number in end.numbers))
    yield _number(f"{key}_difference", one.difference, f"+{form}")
    yield Cell(f"{one.verdict}: {'; '.join(one.why)}" if one.why else one.verdict)


def _ends(one: PublishedVsMeasured) -> Iterator[tuple[str, float | None]]:
    """The ends of both intervals, by name."""
    for name, bounds in (("", one.here_ci), ("expected_", one.expected)):
        low, high = bounds or (None, None)
        yield f"{name}low", low
        yield f"{name}high", high


def evidence_tables(judged: Sequence[JudgedCell]) -> list[Table]:
    """A table for each published one that imported logs are about."""
    groups: dict[int, list[JudgedCell]] = {}
    for one in judged:
        groups.setdefault(id(one.table), []).append(one)
    header = ("strategy", "printed", "its log", "verdict", "because")
    return [
        Table(
            "audit",
            f"{table_title(group[0].publication, group[0].table)}: {NAMES[group[0].table.quantity]} "
            f"[{group[0].table.unit}], held against imported logs",
            header,
            tuple(Line(one.table.pair, one.cell.strategy, tuple(_evidence_cells(one))) for one in group),
            EVIDENCE_NOTES,
        )
        for group in groups.values()
    ]


def _evidence_cells(one: JudgedCell) -> Iterator[Cell]:
    yield Cell(one.cell.value)
    values = [f"{log.last:.{max(1, one.cell.digits)}f}" for log in one.logs if log.last is not None and not log.short]
    yield Cell(", ".join(values) or NONE)
    yield Cell(one.verdict)
    yield Cell(one.why)


def _number(key: str, value: float | None, form: str) -> Cell:
    text = NONE if value is None else format(value, form)
    return Cell(text, (Number(key, value, text),))


def as_json(found: Sequence[PublishedVsMeasured], judged: Sequence[JudgedCell]) -> dict[str, object]:
    """Both as JSON: ``published`` and ``audit``."""
    return {
        "published": [asdict(one) for one in found],
        "audit": [
            {
                "publication": one.publication.id,
                "where": one.table.where,
                "pair": one.table.pair,
                "strategy": one.cell.strategy,
                "quantity": one.table.quantity,
                "unit": one.table.unit,
                "at": one.cell.at,
                "printed": one.cell.value,
                "printed_diff": one.cell.diff,
                "logs": [asdict(log) for log in one.logs],
                "verdict": one.verdict,
                "why": one.why,
                "equals": one.equal or None,
            }
            for one in judged
        ],
    }
