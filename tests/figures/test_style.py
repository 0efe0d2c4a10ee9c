"""Every strategy has a look of its own, in colour and in grey."""

import pytest

from kbench.figures.style import LOOKS, looks
from kbench.strategies import STRATEGIES

CONTRACT = (
    "baseline random budget iswr forget forget-online sb sb-stale sb-epoch kakurenbo kf18 infobatch autoassist rho-loss"
).split()
OWN = [f"kakurenbo-{i}" for i in range(12)]


@pytest.mark.parametrize("names", [list(STRATEGIES), CONTRACT, ["baseline", *OWN]], ids=["ours", "contract", "own"])
def test_no_two_strategies_look_alike(names: list[str]) -> None:
    found = looks(names).values()
    assert len({(look.color, look.dash, look.marker) for look in found}) == len(names)


@pytest.mark.parametrize("names", [list(STRATEGIES), CONTRACT, ["baseline", *OWN]], ids=["ours", "contract", "own"])
def test_no_two_strategies_look_alike_in_grey(names: list[str]) -> None:
    found = looks(names).values()
    assert len({(look.dash, look.marker) for look in found}) == len(names)


def test_each_known_strategy_has_a_marker_of_its_own() -> None:
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)


def test_a_known_strategy_looks_the_same_in_whatever_company() -> None:
    assert looks(["mine", "sb", "another"])["sb"] == looks(["sb"])["sb"]
