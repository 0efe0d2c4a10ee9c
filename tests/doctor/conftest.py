"""What a site asks of this machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.config.site import Site
from kbench.doctor.need import Need, need_of

Needs = Callable[..., Need]


@pytest.fixture
def needs(tmp_path: Path) -> Needs:
    """What a site asks: ``needs(launcher="slurm", nodes=2)``; results lie in an empty folder."""

    def make(**keys: object) -> Need:
        site = Site.model_validate({"launcher": "local", **keys})
        return need_of(tmp_path / "mine.yaml", site, results=tmp_path / "results")

    return make
