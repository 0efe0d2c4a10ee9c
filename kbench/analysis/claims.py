"""Claims in sentences: what is shown of a row, what is not, and how many seeds would tell."""

from collections.abc import Iterator, Sequence

from kbench.analysis.finding import Finding, about, note
from kbench.analysis.interval import MIN_VALUES
from kbench.analysis.multiple_testing import ALPHA
from kbench.analysis.rows import Row
from kbench.analysis.tables.model import interval, number, percent, points
from kbench.records.schema import noun


def claim_sentence(row: Row, *, rivals: int = 1) -> str:
    """Time saved and accuracy lost, as far as the one-sided bounds go; empty where there are none.

    Args:
        row: A strategy's, compared with a baseline.
        rivals: Strategies that are compared with the same baseline.
    """
    if row.saves_at_least is None or row.loses_at_most is None:
        return ""
    bounds = f"{_time(row.saves_at_least)} and {_loss(row.loses_at_most)} of final {noun(row.metric)}"
    if row.margin is None:
        return f"It {bounds} (95 % each); no margin was set that it may lose."
    margin = f"the margin of {points(row.margin)}"
    if row.shown == "yes":
        return f"Shown within {margin}: it {bounds} (95 %)."
    if row.shown == "no":
        return f"Shown to fail {margin}: it {_failure(row)} (95 %)."
    return f"Not shown within {margin}: it {bounds} (95 % each); {_seeds(row, rivals)}."


def _time(saves_at_least: float) -> str:
    if saves_at_least < 0:
        return f"takes at most {percent('', -saves_at_least, '.1f').text} % more time"
    return f"saves at least {percent('', saves_at_least, '.1f').text} % of the training time"


def _loss(loses_at_most: float) -> str:
    if loses_at_most < 0:
        return f"gains at least {percent('', -loses_at_most).text} points"
    return f"loses at most {percent('', loses_at_most).text} points"


def _failure(row: Row) -> str:
    """What is shown to the contrary."""
    found = []
    if row.saves_at_most is not None and row.saves_at_most < 0:
        found.append(f"takes at least {percent('', -row.saves_at_most, '.1f').text} % more time")
    if row.loses_at_least is not None and row.margin is not None and row.loses_at_least > row.margin:
        found.append(f"loses at least {percent('', row.loses_at_least).text} points of final {noun(row.metric)}")
    return " and ".join(found)


def _seeds(row: Row, rivals: int) -> str:
    """What would tell."""
    p = row.shown_p_holm
    if p is not None and p < rivals * ALPHA and rivals > 1 and _is_within(row):
        return f"that may be chance among {rivals} strategies (Holm, p = {number('', p, '.3g').text})"
    if row.seeds_needed is None:
        return "no number of seeds would show it if the truth is as measured"
    more = max(1, row.seeds_needed - max(row.seeds, MIN_VALUES - 1))
    seeds = "one more seed" if more == 1 else f"{more} more seeds"
    return f"{seeds} would tell, with 80 % power if the truth is as measured"


def _is_within(row: Row) -> bool:
    """Whether the bounds alone would show it."""
    return bool(
        row.saves_at_least is not None and row.saves_at_least > 0
        and row.loses_at_most is not None and row.margin is not None and row.loses_at_most < row.margin
    )  # fmt: skip


def samples_sentence(row: Row) -> str:
    """What the interval over seeds and test samples says beside that over seeds; empty where there is none."""
    found = row.acc_final_diff_samples_ci
    if found is None:
        return ""
    bounds = interval("", found, None, "+.2f").text
    text = f"Over seeds and test samples ({row.test_samples} of them) the 95 % interval is {bounds} points"
    return f"{text}{_seen_on_these_samples(row)}."


def sample_findings(rows: Sequence[Row]) -> Iterator[Finding]:
    """Name each row whose difference of accuracies is shown on its test samples, but not on others of their kind."""
    for row in rows:
        if _seen_on_these_samples(row):
            name, text = f"{row.pair}: {row.strategy}", samples_sentence(row)
            yield note("samples", f"{name}: {text[0].lower()}{text[1:]}", about(row.pair, row.strategy))


def _seen_on_these_samples(row: Row) -> str:
    """A clause where seeds alone show a difference and seeds with samples do not; else nothing."""
    seeds, samples = row.acc_final_diff_ci, row.acc_final_diff_samples_ci
    if seeds is None or samples is None or seeds[0] <= 0 <= seeds[1] or not samples[0] <= 0 <= samples[1]:
        return ""
    what = "gain" if seeds[0] > 0 else "loss"
    return f": the {what} of final {noun(row.metric)} is shown on these samples, not on others of their kind"
