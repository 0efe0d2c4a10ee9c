"""What README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
CONSOLE_SCRIPT = Path(sys.executable).parent / "kbench"
EXPERIMENT = """\
name: own
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 2, global_batch: 48, lr: 0.05, augment: shift}
strategies: [baseline, my_method:HalfEasy]
seeds: [0]
"""


def own_method() -> str:
    """The first block of Python in README that defines a strategy."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if "(Strategy):" in block)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the method and an experiment, and nothing of kbench."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_method.py").write_text(own_method())
    (folder / "own.yaml").write_text(EXPERIMENT)
    return folder


def call(place: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Call the installed command, which does not look for modules where it is called."""
    return subprocess.run(
        [CONSOLE_SCRIPT, *words], cwd=place, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_method_of_ones_own_fits_on_a_page() -> None:
    assert len(own_method().splitlines()) <= 20


@pytest.mark.dist
def test_the_method_of_ones_own_passes_every_check(place: Path, clean_env: dict[str, str]) -> None:
    done = call(place, clean_env, "check-method", "my_method:HalfEasy", "--ranks", "1,2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "my_method:HalfEasy: 15 of 15 checks ok"


def test_the_method_of_ones_own_runs(place: Path, clean_env: dict[str, str]) -> None:
    done = call(place, clean_env, "run", "own.yaml", "--quiet", "--set", "threads_per_rank=1")
    assert done.returncode == 0, done.stderr
    hidden = call(place, clean_env, "compare", "own")
    assert "my_method-HalfEasy" in hidden.stdout, hidden.stdout + hidden.stderr
