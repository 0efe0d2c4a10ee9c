"""Every strategy has a look of its own, in colour and in grey."""

import pytest
from matplotlib.colors import to_rgb

from kbench.figures.style import LOOKS, family_of, looks
from kbench.strategies import STRATEGIES

CONTRACT = (
    "baseline random budget iswr forget forget-online sb sb-stale sb-epoch kakurenbo kf18 "
    "infobatch autoassist rho-loss prune-el2n"
).split()
OWN = [f"kakurenbo-{i}" for i in range(12)]


@pytest.mark.parametrize("names", [list(STRATEGIES), CONTRACT, ["baseline", *OWN]], ids=["ours", "contract", "own"])
def test_no_two_strategies_look_alike(names: list[str]) -> None:
    found = looks(names).values()
    assert len({(look.color, look.dash, look.marker) for look in found}) == len(names)


@pytest.mark.parametrize("names", [list(STRATEGIES), CONTRACT, ["baseline", *OWN]], ids=["ours", "contract", "own"])
def test_no_two_strategies_look_alike_in_grey(names: list[str]) -> None:
    found = looks(names).values()
    assert len({(look.dash, look.marker, look.hollow) for look in found}) == len(names)


def test_each_known_strategy_has_a_marker_of_its_own() -> None:
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)


def test_a_known_strategy_looks_the_same_in_whatever_company() -> None:
    assert looks(["mine", "sb", "another"])["sb"] == looks(["sb"])["sb"]


def test_a_label_that_begins_with_a_known_name_looks_related() -> None:
    assert family_of("kakurenbo-ascoded") == "kakurenbo"
    assert family_of("random-like-kakurenbo") == "random"
    assert family_of("sb-stale-3") == "sb-stale"
    assert family_of("forgetful") == ""
    found = looks(["kakurenbo", "kakurenbo-30", "sb-stale-3"])
    assert found["kakurenbo-30"].marker == found["kakurenbo"].marker
    assert found["kakurenbo-30"] != found["kakurenbo"]
    assert found["sb-stale-3"].marker == LOOKS["sb-stale"].marker


def test_relatives_share_a_colour() -> None:
    for family in (
        ("random", "rs2", "budget"),
        ("forget", "forget-online", "prune-el2n", "subset"),
        ("sb", "sb-stale", "sb-epoch"),
    ):
        assert len({LOOKS[name].color for name in family}) == 1


def test_every_colour_stands_out_from_white() -> None:
    for look in looks([*CONTRACT, *OWN, "random-2", "iswr-2", "iswr-3"]).values():
        assert contrast_to_white(look.color) > 2.5, look


def contrast_to_white(color: str) -> float:
    """As WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
