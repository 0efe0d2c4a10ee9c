"""kbench doctor tells what there is, and its exit status whether the site can do with it."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Kbench = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which no scheduler, container or MPI is on the PATH."""
    place = tmp_path_factory.mktemp("bin")
    for name in ("bash", "env"):
        (place / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    return {"PATH": str(place), "KBENCH_DATA": ""}


def test_a_laptop_has_all_that_its_site_needs(kbench: Kbench, bare: dict[str, str], tmp_path: Path) -> None:
    done = kbench("doctor", "--json", env=bare)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["schema"], told["site"], told["launcher"], told["ok"]) == (1, "laptop", "local", True)
    items = {item["name"]: item for item in told["items"]}
    assert {"python", "kbench", "packages", "torch", "GPUs", "cores", "memory", "results folder", "network"} <= set(
        items
    )
    assert items["torch"]["state"] == "ok"
    assert items["slurm"] == items["slurm"] | {"state": "missing", "found": "no sbatch", "needed": False}
    assert list(tmp_path.iterdir()) == [], "the doctor leaves nothing behind"


def test_a_site_that_needs_what_is_missing_ends_with_3_and_the_remedy(
    kbench: Kbench, bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("launcher: slurm\ndata_root: /nowhere/data\n")
    done = kbench("doctor", "--site", "mine.yaml", env=bare)
    assert done.returncode == 3
    assert done.stderr.startswith("error: this machine lacks what site 'mine' needs: slurm, data roots\nhint: ")
    lines = {" ".join(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert "no sbatch  -> log in to the cluster's login node" in lines["missing slurm"]
    assert "no folder /nowhere/data  -> " in lines["missing data"]


def test_a_site_with_a_mistake_ends_with_2(kbench: Kbench, bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("launcher: lsurm\n")
    done = kbench("doctor", "--site", "mine.yaml", env=bare)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'slurm'?" in done.stderr


def test_a_site_that_this_machine_cannot_serve_is_told_with_all_the_rest(
    kbench: Kbench, bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("launcher: mpirun\nmpirun: no-such-mpirun\nranks_per_node: 2\n")
    done = kbench("doctor", "--site", "mine.yaml", env=bare)
    assert done.returncode == 3
    assert done.stdout.startswith("missing  site ")
    assert "site, mpirun" in done.stderr
    assert "ok       python" in done.stdout
