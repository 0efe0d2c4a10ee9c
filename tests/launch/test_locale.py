"""Texts of users in a locale that has no letters but those of ASCII: all files are UTF-8, and no command ends badly."""

import subprocess
import sys
from pathlib import Path

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # Python would take UTF-8 by itself
EXPERIMENT = """\
# Größe
name: small
pairs: [{model: digits-cnn, dataset: digits, recipe: {epochs: 1, global_batch: 48, lr: 0.05}}]
strategies: [baseline]
seeds: [0]
"""
# Stands for the Python of the ranks.
RANKS = """\
#!%s -S
import json, sys
from pathlib import Path
end = {"schema_version": 2, "attempt": 1, "ended_at": "2026-01-01T00:00:00Z", "phases": []}
(Path(sys.argv[-1]) / "done.json").write_text(json.dumps(end))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with letters of several scripts in its name and in the site's setup."""
    place = tmp_path / "größe-日本"
    place.mkdir()
    (place / "small.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (place / "ranks").write_text(RANKS % sys.executable, encoding="utf-8")
    (place / "ranks").chmod(0o755)
    site = f'launcher: local\nthreads_per_rank: 1\npython: {place / "ranks"}\nsetup: ["echo Größe 日本"]\n'
    (place / "site.yaml").write_text(site, encoding="utf-8")
    return place


def test_scripts_and_logs_hold_every_letter_and_what_is_printed_spells_those_that_the_locale_lacks(
    folder: Path, clean_env: dict[str, str]
) -> None:
    def call(*words: str) -> str:
        command = [sys.executable, "-m", "kbench", *words]
        done = subprocess.run(command, cwd=folder, env=clean_env | ASCII, capture_output=True, timeout=300)
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
        return done.stdout.decode("ascii")

    call("run", "small.yaml", "--site", "site.yaml", "--quiet")
    (run,) = (folder / "results" / "small" / "runs").iterdir()
    assert "echo Größe 日本" in (run / "job.sh").read_text(encoding="utf-8")
    assert "Größe 日本\n" in (run / "stdout.log").read_text(encoding="utf-8")
    assert r"Gr\xf6\xdfe \u65e5\u672c" in call("logs", run.name)
