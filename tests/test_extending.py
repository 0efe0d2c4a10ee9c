"""Adding something costs what docs/extending.md says: a test follows each recipe, in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
DOC = TOP / "docs" / "extending.md"
COSTS = {  # files of the package that are touched, new ones included
    "A strategy": 2,
    "A method of your own, outside of kbench": 0,
    "A list of samples made elsewhere": 0,
    "A data set": 2,
    "A data set of your own, outside of kbench": 0,
    "A model": 2,
    "A model of your own, outside of kbench": 0,
    "A loss, a metric, an augmentation, an optimizer or a schedule of your own": 0,
    "A figure": 2,
    "An importer": 2,
    "An exporter": 2,
    "A scheduler": 2,
    "A column": 2,
}


@dataclass
class Step:
    """One block of a recipe."""

    kind: str  # new, below, run or output
    where: str = ""
    anchor: str = ""
    text: str = ""


@dataclass
class Recipe:
    """A section of the page."""

    title: str
    steps: list[Step] = field(default_factory=list)


def recipes() -> dict[str, Recipe]:
    """The recipes of the page, by title."""
    found: dict[str, Recipe] = {}
    for section in re.split(r"^## ", DOC.read_text(), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        recipe = found.setdefault(title.strip(), Recipe(title.strip()))
        for before, language, text in re.findall(r"([^\n]*)\n\n?```(\w+)\n(.*?)^```", body, re.MULTILINE | re.DOTALL):
            new = re.search(r"New file `([^`]+)`", before)
            below = re.search(r"In `([^`]+)`, below the line `([^`]+)`", before)
            if new:
                recipe.steps.append(Step("new", new[1], text=text))
            elif below:
                recipe.steps.append(Step("below", below[1], below[2], text))
            elif language == "sh":
                recipe.steps.append(Step("run", text=text))
            elif language == "text":
                recipe.steps.append(Step("output", text=text))
            else:
                raise AssertionError(f"{title}: a block of {language} that says not where it belongs: {before!r}")
    return found


def insert_below(path: Path, anchor: str, text: str) -> None:
    """Put ``text`` below the only line of a file that begins with ``anchor``, spaces apart."""
    lines = path.read_text().splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if line.strip().startswith(anchor)]
    assert len(places) == 1, f"{path}: {len(places)} lines begin with {anchor!r}"
    lines.insert(places[0] + 1, text)
    path.write_text("".join(lines))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the package, as somebody who extends it has it, and nothing else."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("kbench", "configs", "jobs"):
        shutil.copytree(TOP / name, tmp_path / name, ignore=ignore)
    return tmp_path


def test_the_page_has_a_recipe_for_each_thing_that_can_be_added() -> None:
    assert list(recipes()) == list(COSTS)


@pytest.mark.parametrize("title", COSTS)
def test_a_recipe_works_as_it_stands_and_touches_as_few_files_as_it_says(
    title: str, copy: Path, small_folder: Path, clean_env: dict[str, str]
) -> None:
    touched, output = set(), ""
    env = clean_env | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    shutil.copytree(small_folder / "results", copy / "read-only")
    env["SMALL_RESULTS"] = str(copy / "read-only")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for step in recipes()[title].steps:
        path = copy / step.where
        if step.kind == "new":
            assert not path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text)
        elif step.kind == "below":
            insert_below(path, step.anchor, step.text)
        elif step.kind == "run":
            script = re.sub(r"^kbench ", f"{sys.executable} -m kbench ", step.text, flags=re.MULTILINE)
            done = subprocess.run(
                ["bash", "-euc", script], cwd=copy, env=env, capture_output=True, text=True, timeout=600, check=False
            )
            output = done.stdout
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            for line in step.text.splitlines():
                assert line.strip() in output, output
        if step.kind in ("new", "below") and step.where.startswith("kbench/"):
            touched.add(step.where)
    assert len(touched) == COSTS[title]
