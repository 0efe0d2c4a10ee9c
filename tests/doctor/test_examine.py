"""All findings come in one order, and none hides another."""

from collections.abc import Callable, Iterator

from kbench.doctor.examine import examine, findings
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, FindingState

Needs = Callable[..., Need]


def puzzled(need: Need) -> Iterator[Finding]:
    """A look that does not understand what it sees."""
    raise ValueError("what is this?")


def test_a_machine_that_is_not_understood_is_a_warning_and_no_crash(needs: Needs) -> None:
    [item] = findings("puzzled", puzzled, needs())
    assert (item.name, item.state, item.found) == ("puzzled", FindingState.WARNING, "ValueError: what is this?")


def test_the_site_comes_first_and_each_look_has_its_say(needs: Needs) -> None:
    items = list(examine(needs(mpirun="no-such-mpirun")))
    names = [item.name for item in items]
    assert names[:4] == ["site", "python", "kbench", "packages"]
    assert names[-2:] == ["network", "host name"]
    assert [item for item in items if item.remedy.startswith("please report")] == []
