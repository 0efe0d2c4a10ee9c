"""Several strategies are compared with one baseline: p-values adjusted for what chance alone would show (Holm)."""

from collections.abc import Sequence
from dataclasses import replace

from kbench.analysis.rows import Row

ALPHA = 0.05  # what adjusted p-values are held against


def adjust_p_values(rows: Sequence[Row]) -> list[Row]:
    """The rows with p-values adjusted over the strategies of each pair, each quantity a family of its own.

    What a margin asks (``shown``) is answered by its adjusted p-value.
    """
    families: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.acc_final_diff is not None or row.time_diff is not None:
            families.setdefault(row.pair, []).append(place)
    adjusted = list(rows)
    for places in families.values():
        accuracy = holm([rows[place].acc_final_diff_p for place in places])
        time = holm([rows[place].time_diff_p for place in places])
        margin = holm([rows[place].shown_p_holm for place in places])
        for place, acc_p, time_p, p in zip(places, accuracy, time, margin, strict=True):
            is_shown = p is not None and p < ALPHA
            adjusted[place] = replace(
                rows[place],
                acc_final_diff_p_holm=acc_p,
                time_diff_p_holm=time_p,
                shown_p_holm=p,
                shown="yes" if is_shown else rows[place].shown,
            )
    return adjusted


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the p-values of one family (Holm 1979); None stays None and counts in the family.

    A test that could not be made was still asked for; leaving it out would favour the others.  scipy has no Holm
    procedure, and statsmodels' knows no missing tests.
    """
    n_tests, adjusted, highest = len(p_values), list(p_values), 0.0
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (n_tests - rank) * p))
        adjusted[place] = highest
    return adjusted
