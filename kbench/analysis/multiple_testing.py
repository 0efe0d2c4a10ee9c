"""Several strategies are compared with one baseline: what chance alone would show."""

from collections.abc import Sequence
from dataclasses import replace

from kbench.analysis.interval import holm
from kbench.analysis.rows import Row


def adjusted(rows: Sequence[Row]) -> list[Row]:
    """The rows with p-values adjusted over the strategies of each pair, each quantity a family of its own."""
    family: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.acc_diff is not None or row.time_diff is not None:
            family.setdefault(row.pair, []).append(place)
    found = list(rows)
    for places in family.values():
        accuracy = holm([rows[place].acc_diff_p for place in places])
        time = holm([rows[place].time_diff_p for place in places])
        for place, acc_p, time_p in zip(places, accuracy, time, strict=True):
            found[place] = replace(rows[place], acc_diff_p_holm=acc_p, time_diff_p_holm=time_p)
    return found
