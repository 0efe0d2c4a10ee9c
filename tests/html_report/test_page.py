"""The page as a file: sound, whole, and dependent on nothing."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.frame import Frames
from kbench.analysis.tables.layout import tables
from kbench.figures.registry import FIGURES
from kbench.html_report.page import page
from kbench.records import imported

FETCHING = ("src", "href", "xlink:href", "data", "action", "poster", "srcset", "background")


@pytest.fixture(scope="module")
def told(shown_html: str, read: Any) -> Any:
    """The page about ``shown``, read."""
    return read(shown_html)


def test_it_is_one_sound_document_in_english(shown_html: str, told: Any) -> None:
    assert shown_html.startswith("<!DOCTYPE html>")
    assert told.tags[0] == ("html", {"lang": "en"})
    assert len(told.all("h1")) == len(told.all("main")) == len(told.all("title")) == 1


def test_no_name_is_given_twice_and_every_link_leads_somewhere(told: Any) -> None:
    names = [attrs["id"] for _, attrs in told.tags if "id" in attrs]
    assert len(names) == len(set(names))
    leads = [value for _, attrs in told.tags for key in ("href", "aria-labelledby") if (value := attrs.get(key))]
    used = [
        name for _, attrs in told.tags for value in attrs.values() for name in re.findall(r"url\(#(.+?)\)", value or "")
    ]
    assert {lead.lstrip("#") for lead in leads if not lead.startswith("data:")} | set(used) <= set(names)
    assert used


def test_nothing_is_fetched(shown_html: str, told: Any) -> None:
    asked = [value for _, attrs in told.tags for key in FETCHING if (value := attrs.get(key)) is not None]
    assert asked and all(value.startswith("#") or value == "data:," for value in asked)
    assert not {"link", "img", "iframe", "object", "embed"} & {
        tag for tag, attrs in told.tags if attrs.get("rel") != "icon"
    }
    assert "@import" not in shown_html
    assert set(re.findall(r"url\((.)", shown_html)) == {"#"}


def test_only_the_pages_own_script_may_run(told: Any) -> None:
    (policy,) = (attrs["content"] for attrs in told.all("meta") if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none';")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}';", policy)
    assert len(told.all("script")) == 1


def test_every_table_has_a_caption_and_every_heading_a_scope(told: Any) -> None:
    assert len(told.all("table")) == len(told.all("caption")) >= 8
    assert {attrs.get("scope") for attrs in told.all("th")} == {"row", "col", "colgroup"}


def test_headings_leave_no_level_out(told: Any) -> None:
    levels = [int(tag[1]) for tag, _ in told.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in zip(levels, levels[1:], strict=False))


def test_every_figure_that_can_be_drawn_is_there_and_named(told: Any) -> None:
    of_several_pairs = {"profile", "iqm", "improvement", "robustness"}
    shown = [kind for kind in FIGURES if kind not in of_several_pairs]
    assert [attrs["class"] for attrs in told.all("figure")] == shown
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in told.all("svg"))


def leaves(entry: Any) -> Iterator[float]:
    """All numbers in JSON."""
    if isinstance(entry, bool) or entry is None or isinstance(entry, str):
        return
    if isinstance(entry, (int, float)):
        yield float(entry)
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from leaves(part)


def test_every_number_of_the_comparison_is_on_the_page_as_compare_prints_it(shown: Frames, told: Any) -> None:
    comparison = compare(shown, baseline="baseline", targets=(0.85,))
    printed = [
        number for table in tables(comparison) for line in table.lines for cell in line.cells for number in cell.numbers
    ]
    known: dict[float, set[str]] = {}
    for number in printed:
        if number.value is not None:
            known.setdefault(number.value, set()).add(number.text)
    rows = json.loads(json.dumps(comparison.as_json()))["rows"]
    numbers = {number for row in rows for number in leaves(row)}
    assert len(numbers) > 40
    assert numbers <= known.keys()
    texts = {part.strip() for part in told.text}
    assert set().union(*(known[number] for number in numbers)) <= texts
    shown_cells = {cell.text for table in tables(comparison) for line in table.lines for cell in line.cells}
    assert shown_cells - {""} <= texts


def test_every_finding_note_and_warning_is_on_the_page(shown: Frames, told: Any) -> None:
    comparison = compare(shown, baseline="baseline", targets=(0.85,))
    assert comparison.findings
    for text in [*comparison.warnings, *(note for table in tables(comparison) for note in table.notes)]:
        assert told.words.count(text) == 1


def test_words_of_others_are_words_and_no_tags(shown_html: str, told: Any) -> None:
    assert "<script>console" not in shown_html and "<b>node1" not in shown_html
    assert "<script>console.error('injected')</script> & more" in told.words
    assert "<b>node1</b>" in told.words
    assert "injected" in unescape(shown_html)


def test_the_failed_run_is_told_of_with_its_reason(told: Any) -> None:
    assert "Runs: 9 done, 1 failed." in told.words
    assert re.search(r"digits-cnn-digits\.mine\.s3\.\w{8} failed 1 50\.00 50\.00 1\.0 ", told.words)


def test_recipe_strategies_and_provenance_are_told(told: Any) -> None:
    for text in (
        "epochs 2 global_batch 48 lr 0.05 schedule cosine",
        "Seeds 0, 1, 2, 3 Ranks 1 Targets 0.85",
        "source of kbench c0ffee torch 2.9 device one cpu GPUs 0",
        "threads per rank 2 runs at a time 1 when 2026-01-02 00:00 UTC to 2026-01-02 00:00 UTC",
        "hosts node1 (9 runs); <b>node1</b> (1 run)",
        "How time is counted",
    ):
        assert text in told.words


def test_the_same_results_give_the_same_page(shown: Frames, shown_html: str, html_of: Any) -> None:
    assert html_of(shown) == shown_html


def test_one_seed_makes_a_page_that_claims_nothing(book: Any, html_of: Any, read: Any) -> None:
    book.run("baseline", 0, [0.8, 0.9], [5.0, 5.0])
    book.run("random", 0, [0.8, 0.9], [4.0, 4.0])
    book.run("mine", 0, [0.8, 0.95], [1.0, 1.0])
    words = read(html_of(book.frames())).words
    assert "Shown to save time none Shown to take more time none Shown to lose accuracy none" in words
    assert "too few to tell that from chance" in words
    assert "Shown to beat every control, of 1 method none" in words


def test_without_controls_the_summary_says_that_it_is_not_known(book: Any, html_of: Any, read: Any) -> None:
    book.run("baseline", 0, [0.8, 0.9], [5.0, 5.0])
    book.run("mine", 0, [0.8, 0.95], [1.0, 1.0])
    assert (
        "Shown to beat a control not known, as no control stands beside a method" in read(html_of(book.frames())).words
    )


def test_a_baseline_alone_makes_a_page(book: Any, html_of: Any, read: Any) -> None:
    book.run("baseline", 0, [0.8, 0.9], [5.0, 5.0])
    words = read(html_of(book.frames())).words
    assert "Nothing was run beside baseline." in words
    assert "Not drawn: speedup." in words


def _log(book: Any, strategy: str, seed: int, rows: list[dict[str, Any]]) -> None:
    facts = imported.Imported(
        experiment="book", pair="digits-cnn-digits", strategy=strategy, seed=seed, format="csv", run=strategy,
        files=(), digest=imported.digest(rows), kbench_version="0", imported_at="2026-01-03T00:00:00+00:00",
    )  # fmt: skip
    imported.write(book.folder, facts, [{**imported.EMPTY, **row} for row in rows])


@pytest.fixture
def logged(book: Any) -> Any:
    """Logs of others that tell accuracies and no times."""
    for seed in range(3):
        for strategy, gain in (("baseline", 0.0), ("theirs", 0.01 + 0.001 * seed)):
            accuracies = (0.5, 0.8 + gain)
            _log(
                book, strategy, seed, [{"phase": "train", "epoch": i, "val_acc1": a} for i, a in enumerate(accuracies)]
            )
    return book


def test_logs_of_others_are_marked_and_what_they_lack_is_not_made_up(logged: Any, html_of: Any, read: Any) -> None:
    words = read(html_of(logged.frames())).words
    assert "were read from logs of others (csv). kbench did not measure them" in words
    assert "theirs imported" in words
    assert "theirs has no known training time; it gained final accuracy" in words
    assert "Not drawn: curves." in words
    assert "No recipe is on record" in words
    assert not {"nan", "None", "NaT", "NaN"} & set(words.split())


def test_logs_of_others_beside_our_own_runs_are_told_apart(logged: Any, html_of: Any, read: Any) -> None:
    for seed in range(3):
        logged.run("baseline", seed, [0.8, 0.9], [5.0, 5.0 + seed])
        logged.run("mine", seed, [0.8, 0.9], [4.0, 4.0])
    told = read(html_of(logged.frames()))
    assert "baseline partly imported" in told.words
    assert "mine imported" not in told.words
    assert not {"nan", "None", "NaT", "NaN"} & set(told.words.split())


def test_the_page_is_small_enough_to_send(shown_html: str) -> None:
    assert len(shown_html.encode()) < 1_500_000


def test_its_files_are_installed_with_the_package(tmp_path: Path) -> None:
    import configparser
    from fnmatch import fnmatch

    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert "kbench.html_report" in setup["options"]["packages"].split()
    patterns = setup["options.package_data"]["kbench.html_report"].split(",")
    files = [path.name for path in Path(page.__code__.co_filename).parent.iterdir() if path.is_file()]
    left_out = [
        name for name in files if not name.endswith(".py") and not any(fnmatch(name, p.strip()) for p in patterns)
    ]
    assert left_out == []
    assert "page.html.j2" in files


def test_a_transfer_is_on_the_page_with_a_column_per_strategy(book: Any, html_of: Any, read: Any) -> None:
    for seed in range(3):
        for strategy, gain in (("baseline", 0.0), ("mine", 0.01)):
            book.run(strategy, seed, [0.9], [5.0 + seed], model="up")
            book.run(strategy, seed, [0.8 + gain * (1 + seed)], [5.0], model="down", upstream="up")
    html = html_of(book.frames())
    words = read(html).words
    assert "up-digits, then down-digits, compared with baseline strategy baseline mine seeds 3 3 upstream loss" in words
    assert "down-digits: final acc 80.00 ±0.00 82.00 ±1.00 diff - +2.00" in words
    assert '<table class="transfer">' in html and '<table class="transfer sortable">' not in html


def test_the_parameters_of_a_strategy_are_those_of_its_training_upstream(book: Any, html_of: Any, read: Any) -> None:
    for model, upstream in (("up", ""), ("down", "up")):
        book.run("baseline", 0, [0.9], [5.0], model=model, upstream=upstream)
        book.run("mine", 0, [0.9], [5.0], model=model, upstream=upstream, name="kakurenbo")
    assert "label strategy parameters baseline baseline mine kakurenbo" in read(html_of(book.frames())).words


def test_a_set_that_is_not_the_official_one_is_named_in_the_audit_and_in_provenance(
    book: Any, html_of: Any, read: Any
) -> None:
    book.run("baseline", 0, [0.9], [5.0], place={"dataset_note": "8 classes of one's own"})
    words = read(html_of(book.frames())).words
    assert "made on a set that is not the official one: 8 classes of one's own" in words
    assert "not the official data set 8 classes of one's own" in words
