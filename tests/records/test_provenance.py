"""Where a run was made: told without torch, and null where it cannot be known."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

import kbench
from kbench.records.provenance import cpu_name, provenance, source

CHECKOUT = Path(kbench.__file__).parent.parent
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True).stdout.strip()


def test_versions_are_those_that_are_installed() -> None:
    facts = provenance()
    assert facts.torch_version == version("torch")
    assert facts.kbench_version == kbench.__version__


def test_the_start_is_a_time_with_its_zone() -> None:
    before = datetime.now(UTC)
    assert before <= (provenance().started_at or before) <= datetime.now(UTC)


@needs_git
def test_the_commit_is_the_last_that_changed_the_source() -> None:
    assert source().commit == (git("log", "-1", "--format=%H", "--", "kbench") or None)


@needs_git
def test_a_file_beside_the_source_does_not_make_it_dirty(tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(CHECKOUT / "kbench"), str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    here = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "kbench"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*here, *words], check=True)
    program = "from kbench.records import provenance; print(provenance.source().dirty)"
    dirty = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    clean = subprocess.run(dirty, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    errors = tmp_path / "kbench" / "errors.py"
    errors.write_text(errors.read_text() + "# changed\n")
    changed = subprocess.run(dirty, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (clean.stdout, changed.stdout) == ("False\n", "True\n")


def test_a_copy_that_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / "kbench").symlink_to(CHECKOUT / "kbench")
    program = "from kbench.records import provenance; print(provenance.source())"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.strip() == "Source(commit=None, dirty=None)"


@needs_git
def test_a_package_beside_somebody_elses_repository_does_not_take_its_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["cp", "-r", str(CHECKOUT / "kbench"), str(tmp_path)], check=True)
    program = "from kbench.records import provenance; print(provenance.__file__); print(provenance.source())"
    told = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert told.stdout.splitlines() == [
        str(tmp_path / "kbench" / "records" / "provenance.py"),
        "Source(commit=None, dirty=None)",
    ]


def test_the_processor_has_a_name() -> None:
    assert cpu_name().strip()
