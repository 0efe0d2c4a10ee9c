"""Where data sets are looked for, what is said of those that are not there, and how they come to a node."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pkgutil import resolve_name

import pytest

from kbench.data import DATASETS, dataset_info
from kbench.data.store import locate, manifest, prepare
from kbench.data.store.manifest import Manifest
from kbench.data.store.stage import stage
from kbench.errors import ConfigError, WorkloadError

Put = Callable[..., Path]
Ready = Callable[[str, Path], Manifest]


@pytest.fixture(autouse=True)
def no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locate.VARIABLE, raising=False)


def test_the_sites_root_comes_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(locate.VARIABLE, os.pathsep.join(["/b", "", "$THERE/c", "/a"]))
    monkeypatch.setenv("THERE", "/there")
    assert locate.roots("/a") == [Path("/a"), Path("/b"), Path("/there/c")]
    assert locate.roots("") == [Path("/b"), Path("/there/c"), Path("/a")]


def test_a_prepared_folder_is_found_before_one_that_only_has_the_files(
    put: Put, ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("mnist", tmp_path / "raw")
    monkeypatch.setenv(locate.VARIABLE, str(tmp_path / "made"))
    assert locate.find("mnist", str(tmp_path / "raw")) == tmp_path / "raw" / "mnist"
    put("mnist", tmp_path / "made")
    ready("mnist", tmp_path / "made")
    assert locate.find("mnist", str(tmp_path / "raw")) == tmp_path / "made" / "mnist"
    assert locate.problems("mnist", str(tmp_path / "raw")) == []


def test_what_is_missing_is_said_with_the_remedy(put: Put, ready: Ready, tmp_path: Path) -> None:
    root = str(tmp_path)
    assert locate.problems("digits", "") == []
    assert locate.problems("mnist", "") == [
        "mnist: no place to look for it: set data_root of the site, or $KBENCH_DATA"
    ]
    (missing,) = locate.problems("mnist", root)
    assert missing == f"mnist: no folder mnist in {root}; kbench data prepare mnist fetches it or tells how to get it"
    folder = put("mnist", tmp_path)
    (raw,) = locate.problems("mnist", root)
    assert raw == f"mnist: {folder} is there but not prepared; run kbench data prepare mnist"
    ready("mnist", tmp_path)
    assert locate.problems("mnist", root) == []
    folder.rename(tmp_path / "mnist-rot")
    (other,) = locate.problems("mnist-rot", root)
    assert "was prepared as mnist;" in other
    assert locate.problems("nonesuch", root) == ["nonesuch: no such data set"]


@pytest.mark.parametrize("name", ["folder:", "folder:../x", "folder:a/b", "folder:.hidden", "shards:a b", "fractal-0"])
def test_a_name_that_would_leave_its_root_is_no_data_set(name: str) -> None:
    assert dataset_info(name) is None


def test_names_of_ones_own_are_looked_up() -> None:
    for name, folder in (("folder:my-pets_2", "my-pets_2"), ("shards:x.y", "x.y"), ("fractal-8", "fractal-8")):
        info = dataset_info(name)
        assert info is not None and info.folder == folder
    fractal = dataset_info("fractal-8")
    assert fractal is not None and (fractal.n_train, fractal.n_classes) == (8000, 8)


def test_every_entry_names_functions_that_exist() -> None:
    for name, info in DATASETS.items():
        targets = (info.target, info.prepare, info.verify) if info.folder else (info.target,)
        assert all(callable(resolve_name(target)) for target in targets), name
        assert len(info.mean) == len(info.std) and len(info.mean) in (0, info.shape[0])
        assert all(info.std) and info.augments[0] == "none"


def test_asking_what_is_there_imports_no_torch(root_of: Callable[[str], Path]) -> None:
    program = (
        "import sys; from kbench.data.store.locate import problems; "
        "print(problems(*sys.argv[1:]), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "cifar10", str(root_of("cifar10"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[] False\n"


def test_the_digits_need_no_preparing() -> None:
    with pytest.raises(ConfigError, match="digits needs no preparing"):
        prepare.prepare("digits", root="/nowhere", given=None, download=False, workers=1, report=lambda _: None)


@pytest.mark.parametrize("dataset", ["cifar10", "shards:pets", "folder:pets", "imagenet"])
def test_staged_data_is_all_that_training_reads(dataset: str, root_of: Callable[[str], Path], tmp_path: Path) -> None:
    root = stage(dataset, str(root_of(dataset)), tmp_path / "scratch")
    assert root == str(tmp_path / "scratch")
    assert prepare.verify(dataset, root=root, workers=1, report=lambda _: None) == []
    assert not list((tmp_path / "scratch").rglob("*.tar.gz")) and [
        path.suffix for path in (tmp_path / "scratch").glob(".*")
    ] == [".lock"]
    assert not any(path.is_symlink() for path in (tmp_path / "scratch").rglob("*"))


def test_what_is_staged_is_copied_once_for_all_processes_of_a_node(
    root_of: Callable[[str], Path], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(6) as pool:
        roots = list(pool.map(lambda _: stage("cifar10", str(root_of("cifar10")), tmp_path), range(6)))
    assert set(roots) == {str(tmp_path)}
    made = (tmp_path / "cifar10" / "train-x.npy").stat()
    assert stage("cifar10", str(root_of("cifar10")), tmp_path) == str(tmp_path)
    assert (tmp_path / "cifar10" / "train-x.npy").stat().st_ino == made.st_ino


def test_what_was_left_half_copied_or_is_out_of_date_is_copied_anew(
    root_of: Callable[[str], Path], tmp_path: Path
) -> None:
    root = str(root_of("mnist"))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    draft = tmp_path / f".mnist.{socket.gethostname()}.{process.pid}"  # of a process that was killed
    draft.mkdir()
    (draft / "train-x.npy").write_bytes(b"half")
    stage("mnist", root, tmp_path)
    assert not draft.exists()
    (tmp_path / "mnist" / "val-x.npy").write_bytes(b"lost")
    stage("mnist", root, tmp_path)
    written = manifest.read(tmp_path / "mnist")
    assert written is not None and manifest.changed(tmp_path / "mnist", written) == []


def test_data_that_is_not_ready_is_not_staged(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="mnist: no folder mnist in"):
        stage("mnist", str(tmp_path), tmp_path / "scratch")
    assert stage("digits", "/data", tmp_path / "scratch") == "/data"


def test_no_room_is_said_with_what_is_free(root_of: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where a folder should go")
    with pytest.raises(WorkloadError, match=r"mnist: cannot be copied to .*mnist: .*GB are free\)"):
        stage("mnist", str(root_of("mnist")), tmp_path)


def test_the_identity_of_data_tells_it_from_other_data(put: Put, ready: Ready, tmp_path: Path) -> None:
    made = {}
    for name, n_train in (("a", 100), ("b", 100), ("c", 90)):
        put("mnist", tmp_path / name, n_train=n_train)
        ready("mnist", tmp_path / name)
        made[name] = prepare.open_dataset("mnist", str(tmp_path / name)).identity
    assert made["a"] == made["b"] != made["c"] and len(made["a"] or "") == 12
    assert prepare.open_dataset("digits", "").identity is None
