"""From numbers to cells: the one place that rounds."""

from kbench.analysis.interval import Bounds
from kbench.analysis.tables.model import NONE, Cell, Number

PERCENT = 100


def number(key: str, value: float | None, form: str, *, scale: float = 1) -> Number:
    """A number printed with ``form`` after it was multiplied with ``scale``."""
    return Number(key, value, NONE if value is None else format(scale * value, form))


def seconds(key: str, value: float | None) -> Number:
    """Seconds, to four digits or the hundredth."""
    form = ".2f" if value is None or value < 100 else ".1f" if value < 1000 else ",.0f"
    return number(key, value, form)


def cell(one: Number, unit: str = "", *more: Number) -> Cell:
    """A cell that shows ``one``; ``more`` are behind it."""
    return Cell(one.text if one.value is None else f"{one.text}{unit}", (one, *more))


def spread(one: Number, deviation: Number) -> Cell:
    """A mean and its standard deviation over seeds."""
    text = one.text if deviation.value is None else f"{one.text} ±{deviation.text}"
    return Cell(text, (one, deviation))


def interval(key: str, ci: Bounds, spans: Bounds, form: str, *, scale: float = PERCENT, bca: Bounds = None) -> Cell:
    """The interval in brackets; the range, said to be one, where there is no interval; the bootstrap behind it."""
    inner, outer = bounds(f"{key}_ci", ci, form, scale=scale), bounds(f"{key}_range", spans, form, scale=scale)
    text = ""
    if ci:
        text = f"[{inner[0].text}, {inner[1].text}]"
    elif spans and spans[0] != spans[1]:
        text = f"range {outer[0].text}, {outer[1].text}"
    return Cell(text, (*inner, *outer, *bounds(f"{key}_bca", bca, form, scale=scale)))


def bounds(key: str, found: Bounds, form: str, *, scale: float = PERCENT) -> tuple[Number, Number]:
    """The two ends of an interval."""
    low, high = found or (None, None)
    return number(f"{key}_low", low, form, scale=scale), number(f"{key}_high", high, form, scale=scale)
