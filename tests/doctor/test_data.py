"""Data roots and data sets are told as they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.data.store.locate import VARIABLE
from kbench.doctor.data import DataFacts, data, judge
from kbench.doctor.need import Need
from kbench.launch.diagnosis import FindingState

Needs = Callable[..., Need]


def test_without_a_data_root_only_the_digits_can_be_trained_on(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    [item] = data(needs())
    assert (item.state, item.is_fatal) == (FindingState.MISSING, False)


def test_a_data_root_that_the_site_names_must_be_there(
    needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    root, _ = data(needs(data_root="/nowhere/data"))
    assert (root.is_fatal, root.found) == (True, "no folder /nowhere/data")
    root, sets = data(needs(data_root=str(tmp_path)))
    assert (root.state, root.found) == (FindingState.OK, str(tmp_path))
    assert sets.found.startswith("none ready")


def test_a_data_set_that_is_there_and_not_ready_comes_with_its_remedy(needs: Needs) -> None:
    facts = DataFacts(
        roots={"/data": True},
        problems={"cifar10": [], "svhn": ["svhn: /data/svhn is there but not prepared; run it"]},
    )
    _, ready, svhn = judge(facts, needs())
    assert ready.found == "cifar10 ready; kbench data list shows all"
    assert (svhn.state, svhn.remedy) == (FindingState.WARNING, "run it")
