"""The data files: every number with its source, and the errors of the papers known."""

from pathlib import Path

import pytest

from kbench.errors import ConfigError
from kbench.papers.publications import Publication, Table, load_publications

EVERY = [(publication, table) for publication in load_publications() for table in publication.tables]
SMALL = """\
id: small
title: A title
cite: somewhere
read: all of it
workloads:
  p: {model: m, dataset: d}
tables:
  - where: Table 1
    pair: p
    quantity: final_acc
    unit: "%"
    source: the paper
    cells:
      - {strategy: baseline, value: "90.0"}
      - {strategy: sb, value: "89.5", diff: "-0.5"}
"""


def table(publication: str, where: str, pair: str, quantity: str = "") -> Table:
    fits = [t for p, t in EVERY if p.id == publication and (t.where, t.pair) == (where, pair)]
    (found,) = [t for t in fits if quantity in ("", t.quantity)]
    return found


def values(found: Table) -> dict[str, str]:
    return {cell.strategy + (f" {cell.at}" if cell.at else ""): cell.value for cell in found.cells}


def test_all_publications_are_there() -> None:
    ids = {publication.id for publication in load_publications()}
    assert ids >= {"kakurenbo", "selective-backprop", "mlperf-hpc", "seta", "rho-loss", "claims"}
    assert len(EVERY) > 40


@pytest.mark.parametrize("publication", load_publications(), ids=lambda publication: publication.id)
def test_every_number_says_where_it_was_read_and_of_what_it_is(publication: Publication) -> None:
    assert publication.cite and publication.read
    for found in publication.tables:
        assert found.source and publication.workloads[found.pair].title
        assert found.cells


def test_the_differences_that_were_misprinted_are_these_two() -> None:
    wrong = [
        (t.pair, cell.strategy, cell.diff, t.difference(cell))
        for _, t in EVERY
        for cell in t.cells
        if t.misprinted(cell)
    ]
    assert wrong == [
        ("efficientnet-b3-imagenet", "kakurenbo", "-0.5", pytest.approx(-0.40)),
        ("deepcam", "kakurenbo", "-0.9", pytest.approx(-0.72)),
    ]


def test_a_difference_that_rounding_explains_is_none_of_them() -> None:
    resnet = table("kakurenbo", "Table 2", "resnet50-imagenet")
    forget = next(cell for cell in resnet.cells if cell.strategy == "forget")
    assert (forget.diff, resnet.difference(forget)) == ("-1.20", pytest.approx(-1.19))
    assert not resnet.misprinted(forget)


def test_table_3_as_printed() -> None:
    cifar10 = table("kakurenbo", "Table 3, CIFAR-10", "deit-tiny-cifar10")
    assert values(cifar10) == {
        "baseline": "95.03", "iswr": "95.79", "forget": "95.85", "sb": "93.59", "kakurenbo": "95.28"
    }  # fmt: skip
    time = table("kakurenbo", "Table 3, upstream time", "deit-tiny-fractal3k")
    changes = {cell.strategy: (cell.diff, time.difference(cell)) for cell in time.cells if cell.diff}
    assert changes["kakurenbo"] == ("-15.1", pytest.approx(-15.0883, abs=1e-4))


def test_the_speed_ups_of_selective_backprop_as_printed() -> None:
    found = values(table("selective-backprop", "Table 1", "wrn-cifar10"))
    assert found["sb 1.4 x the final error"] == "1.5"
    assert "sb-stale 1.1 x the final error" not in found  # a dash in the paper


def test_the_parts_of_the_first_round_as_recomputed() -> None:
    found = values(table("mlperf-hpc", "results, v0.7", "deepcam"))
    assert found["baseline Fujitsu ABCI, 1024 V100, closed"] == "11.71"


def test_digits_are_kept_as_printed() -> None:
    cell = table("kakurenbo", "Table 2", "resnet50-imagenet").cells[2]
    assert (cell.value, cell.digits) == ("73.70", 2)
    assert cell.is_printed_as(73.6951) and cell.is_printed_as(73.705)
    assert not cell.is_printed_as(73.71)


def test_every_known_log_leads_to_a_workload() -> None:
    for publication in load_publications():
        for log in publication.logs:
            pairs = [log.pair.replace(r"\1", name) for name in ("cifar10", "cifar100")]
            assert set(pairs) <= set(publication.workloads)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    (small,) = load_publications(tmp_path)
    assert small.tables[0].baseline() is small.tables[0].cells[0]


@pytest.mark.parametrize(
    "before, after, message",
    [
        ('value: "90.0"', "value: 90.0", "small.yaml:14: tables\\[0\\].cells\\[0\\].value"),
        ('value: "90.0"', 'value: "9O"', "small.yaml:14: tables\\[0\\].cells\\[0\\].value"),
        ('unit: "%"', "unit: min", "final_acc is counted in %, got 'min'"),
        ("pair: p\n", "pair: q\n", "no workload named q"),
        ("strategy: sb", "strategy: baseline", "Table 1: a cell is given twice"),
        ("source: the paper", "sauce: the paper", "unknown key 'sauce'; did you mean 'source'"),
        ("id: small", "id: other", "id: must be the file's name 'small', got 'other'"),
        ("title: A title\n", "", "missing key 'title'"),
    ],
)
def test_a_mistake_in_a_file_is_named_at_its_line(before: str, after: str, message: str, tmp_path: Path) -> None:
    assert before in SMALL
    (tmp_path / "small.yaml").write_text(SMALL.replace(before, after))
    with pytest.raises(ConfigError, match=message):
        load_publications(tmp_path)
