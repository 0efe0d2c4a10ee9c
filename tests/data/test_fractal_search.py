"""FractalDB's classes: the published ones, bit for bit, however they are searched."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kbench.data.sources.fractal.orbit import choose_maps, orbits, pixels
from kbench.data.sources.fractal.search import Batch, Category, read_table, search, write_table
from kbench.errors import WorkloadError

# A to f of some maps and the share of each, by category and map, copied from data/csv_rate0.2_category1000/ of
# github hirokatsukataoka16/FractalDB-Pretrained-ResNet-PyTorch @d9aae20.
PUBLISHED = {
    (0, 0): "1.724223243171234543e-01 -7.311756060787280020e-01 -2.966728035091932281e-01 -2.777660563660040438e-01 "
    "6.115739281576646480e-01 -2.019335022650967648e-01 1.414134307013419356e-01",
    (1, 2): "9.038574880708072357e-02 -8.118400125885090191e-01 -7.785972314428670771e-01 -2.906130900075152290e-01 "
    "-5.889521589065931373e-01 -2.652835207608081891e-01 7.009562934649647969e-01",
    (2, 0): "5.837848063254049702e-01 5.710404955054340093e-01 7.431312327013381847e-01 -5.511572939835394092e-01 "
    "-6.844673029160008859e-02 6.882748449569975335e-02 6.392281307787082145e-01",
    (4, 3): "2.001809442151565310e-01 7.282050050629222948e-01 2.484419993710427210e-01 -8.775142291441917486e-02 "
    "2.336441947265990304e-01 7.596365731470822169e-02 1.474229099744500115e-01",
    (7, 3): "4.763460098906613371e-01 3.135165905589676338e-01 -2.784879767736396783e-01 3.691792482640920969e-01 "
    "9.841157093454246940e-01 8.526261708709337306e-02 2.054912575855880330e-01",
    (39, 6): "-2.932055298254347964e-01 1.461491610214045167e-01 7.569063494459828956e-01 3.408746228447039339e-01 "
    "-7.013955688223971752e-01 -7.203665845492850384e-01 1.127716146901799193e-01",
}
DRAWS_TO_39 = 1664  # so many draws gave categories 0 to 38


def published(category: int) -> dict[int, list[float]]:
    return {row: [*map(float, text.split())] for (of, row), text in PUBLISHED.items() if of == category}


def agrees(found: Category, category: int) -> bool:
    rows = published(category)
    return all([*found.maps[row], found.shares[row]] == numbers for row, numbers in rows.items()) and bool(rows)


@pytest.fixture(scope="module")
def first() -> list[Category]:
    """The categories of the first 320 draws."""
    return [found for batch in islice(search(), 6) for found in batch.found]


def test_the_first_categories_are_the_published_ones(first: list[Category]) -> None:
    assert [found.draw for found in first[:3]] == [23, 28, 67]
    assert [len(found.maps) for found in first[:3]] == [5, 3, 2]
    assert [round(found.fill, 4) for found in first[:3]] == [0.2237, 0.2195, 0.2212]
    assert all(agrees(first[category], category) for category in (0, 1, 2, 4, 7))


def test_a_search_that_goes_on_finds_the_published_category_39() -> None:
    _, batch = islice(search(n_draws=DRAWS_TO_39), 2)
    assert agrees(batch.found[0], 39)


def test_processes_find_what_one_finds(first: list[Category]) -> None:
    batches: Iterator[Batch] = search(workers=2)
    found = [found for batch in islice(batches, 3) for found in batch.found]
    batches.close()  # type: ignore[attr-defined]
    assert [each.draw for each in found] == [each.draw for each in first if each.draw < 128]
    assert np.array_equal(found[-1].maps, first[len(found) - 1].maps)


def test_a_table_keeps_every_bit(first: list[Category], tmp_path: Path) -> None:
    write_table(tmp_path / "categories.csv", first, n_draws=320)
    n_draws, again = read_table(tmp_path / "categories.csv")
    assert n_draws == 320
    assert [(each.draw, each.fill) for each in again] == [(each.draw, each.fill) for each in first]
    assert all(np.array_equal(a.maps, b.maps) for a, b in zip(again, first, strict=True))
    assert all(np.array_equal(a.shares, b.shares) for a, b in zip(again, first, strict=True))


@pytest.mark.parametrize("text", ["", "draws made,64\ncategory\n", "a,b\n", "draws made,64\nwrong,head\n1,2\n"])
def test_a_damaged_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "categories.csv"
    path.write_text(text)
    with pytest.raises(WorkloadError, match="categories.csv: is no table of categories"):
        read_table(path)


def one_by_one(maps: NDArray[np.float64], shares: NDArray[np.float64], numbers: list[float]) -> list[list[float]]:
    """An orbit as a loop over single numbers makes it, the map chosen by walking along the running sum."""
    x = y = 0.0
    orbit = [[x, y]]
    for number in numbers:
        total, row = 0.0, -1
        while row < len(shares) - 1 and (row < 0 or number > total):
            row += 1
            total += float(shares[row])
        a, b, c, d, e, f = map(float, maps[row])
        x, y = x * a + y * b + e, x * c + y * d + f
        orbit.append([x, y])
    return orbit


def test_orbits_side_by_side_are_those_of_a_loop_bit_for_bit() -> None:
    stream = np.random.RandomState(5)
    maps = stream.uniform(-1, 1, (3, 4, 6))
    maps[2] *= 3.0  # flies off, until it is no number
    shares = np.array([0.1, 0.4, 0.2, 0.3])
    numbers = stream.random_sample((3, 1500))
    together = orbits(maps, np.stack([choose_maps(shares, row) for row in numbers], axis=1))
    for i in range(3):
        alone = np.array(one_by_one(maps[i], shares, [*map(float, numbers[i])]))
        assert np.array_equal(together[:, :, i], alone, equal_nan=True)
    assert np.isnan(together[-1, :, 2]).all()


def test_points_before_an_orbit_is_lost_are_left_out() -> None:
    orbit = np.stack([np.linspace(-1, 1, 500), np.linspace(0, 3, 500)], axis=1)
    orbit[300:] = np.nan
    columns, rows = pixels(orbit, side=64)
    assert (len(columns), len(rows)) == (200, 200)
    assert (columns[0], columns[-1], rows[0], rows[-1]) == (6, 58, 6, 58)  # a margin of 6 all around


def test_an_axis_without_extent_is_at_the_edge() -> None:
    columns, rows = pixels(np.array([[0.0, 0.0], [0.0, 1.0]]), side=64)
    assert (columns.tolist(), rows.tolist()) == ([0, 0], [6, 58])
