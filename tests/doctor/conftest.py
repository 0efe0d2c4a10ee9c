"""Sites to ask for, and commands that play what this machine does not have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.config.site import Site
from kbench.doctor.need import Need, need_of

Needs = Callable[..., Need]
Plays = Callable[[str, str], Path]

PROGRAMS = ("bash", "sleep", "true")  # that commands which are played need


@pytest.fixture
def needs(tmp_path: Path) -> Needs:
    """What a site asks: ``needs(launcher="slurm", nodes=2)``; results lie in an empty folder."""

    def make(**keys: object) -> Need:
        site = Site.model_validate({"launcher": "local", **keys})
        return need_of(tmp_path / "mine.yaml", site, results=tmp_path / "results")

    return make


@pytest.fixture
def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plays:
    """Put a command on a PATH that holds no scheduler, MPI or driver of this machine:
    ``plays("qstat", "echo pbs_version = 23")``.
    """
    place = tmp_path / "bin"
    place.mkdir()
    for program in PROGRAMS:
        (place / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    monkeypatch.setenv("PATH", str(place))

    def make(name: str, body: str) -> Path:
        path = place / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    return make
