"""The pages of docs/ name files that are there, in an order in which one leads to the next."""

import re
from pathlib import Path

import pytest

from kbench.analysis.tables.layout import CLAIM_HEADER, CLAIM_NOTES, SAMPLES_CI_NOTE
from kbench.config.recipe import Recipe

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
MOST_FILES = {"fraction": 13, "nodes": 8, "exception": 11, "accuracy": 12}  # to open to follow one thing


def journeys() -> dict[str, list[str]]:
    """The files of each journey of the page, by a word of its title."""
    text = (DOCS / "life-of-a-run.md").read_text()
    found = {}
    for section in text.split("\n## ")[1:]:
        title = section.splitlines()[0]
        word = next(word for word in MOST_FILES if word in title)
        found[word] = re.findall(r"^\d+\. `([^`]+)`", section, flags=re.MULTILINE)
    return found


def mentions(place: str, other: str) -> bool:
    """Whether one file imports another, or names it as a registry does or a template that includes it."""
    text = (TOP / place).read_text()
    if other.startswith("jobs/"):
        return other.removeprefix("jobs/") in text or (place.endswith("job_script.py") and '"jobs"' in text)
    module = other.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    package, _, name = module.rpartition(".")
    return module in text or re.search(rf"from {re.escape(package)} import [^\n]*\b{name}\b", text) is not None


@pytest.mark.parametrize("word", MOST_FILES)
def test_a_journey_leads_from_file_to_file(word: str) -> None:
    files = journeys()[word]
    assert 5 <= len(files) <= MOST_FILES[word]
    for i, place in enumerate(files):
        assert (TOP / place).is_file(), place
        linked = [other for other in files[:i] if mentions(other, place) or mentions(place, other)]
        assert i == 0 or linked, f"nothing before {place} leads to it"


@pytest.mark.parametrize("page", sorted(path.relative_to(TOP).as_posix() for path in DOCS.rglob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", (TOP / page).read_text())
    lost = [link for link in links if "://" not in link and not (TOP / page).parent.joinpath(link).exists()]
    assert lost == []


def test_the_page_of_verdicts_has_the_head_and_the_notes_that_are_printed() -> None:
    page = (DOCS / "verdicts.md").read_text()
    assert "  ".join(CLAIM_HEADER[1:4]) in page and CLAIM_HEADER[5] in page
    words = " ".join(page.split())
    assert all(" ".join(note.split()) in words for note in (*CLAIM_NOTES, SAMPLES_CI_NOTE))


def test_every_guarantee_has_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)::(test_\w+)`", (DOCS / "guarantees.md").read_text())
    rows = [
        line for line in (DOCS / "guarantees.md").read_text().splitlines() if re.match(r"\| (?!guarantee|---)", line)
    ]
    assert len(named) >= len(rows) >= 20
    lost = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (TOP / file).read_text()]
    assert lost == []
    assert all("::test_" in row for row in rows), "a guarantee without a test"


def test_every_key_of_a_recipe_is_on_its_page() -> None:
    page = (DOCS / "recipe.md").read_text()
    assert not [key for key in Recipe.model_fields if f"`{key}`" not in page]
