"""FractalDB's images: drawn as a plain paste draws them, made once, going on where a maker was stopped."""

import hashlib
import io
import random
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kbench.data.sources.fractal.make import make, read_settings
from kbench.data.sources.fractal.render import RenderSettings, covers, drawings, flipped, painted, variations
from kbench.data.sources.fractal.search import read_table
from kbench.errors import WorkloadError

SMALL = RenderSettings(side=32, points=2000, instances=2)
SHARDS = [f"{part}-{number:05d}.tar" for part in ("train", "val") for number in range(3)]


def pasted(columns: list[int], rows: list[int], masks: list[int], *, side: int) -> Image.Image:
    """What pasting patch after patch gives, as FractalDB's renderer does it."""
    image = Image.new("L", (side, side))
    for column, row, mask in zip(columns, rows, masks, strict=True):
        cells = [127 * int(bit) for bit in f"{mask:09b}"]
        image.paste(Image.frombytes("L", (3, 3), bytes(cells)), (column + 1, row + 1))
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def test_drawings_equal_patches_pasted_one_by_one() -> None:
    draw, side = random.Random(3), 40
    columns, rows = ([draw.choice([0, *range(6, side - 5)]) for _ in range(1500)] for _ in "xy")
    masks = [draw.randrange(1, 512) for _ in columns]
    newest, place = covers(np.array(columns), np.array(rows), side=side)
    bits = painted(np.array(masks, dtype=np.uint16), newest, place)
    plain = pasted(columns, rows, masks, side=side)
    turned = Image.Transpose
    plain_four = [plain, plain.transpose(turned.FLIP_TOP_BOTTOM), plain.transpose(turned.FLIP_LEFT_RIGHT)]
    plain_four.append(plain_four[1].transpose(turned.FLIP_LEFT_RIGHT))
    for ours, theirs in zip(flipped(bits), plain_four, strict=True):
        assert np.array_equal(ours * 127, np.asarray(theirs))
    assert 0.2 < bits.mean() < 0.8


def test_a_variation_changes_one_column_or_none() -> None:
    rows = variations()
    assert rows.shape == (25, 6)
    assert len({tuple(row) for row in rows}) == 25
    assert rows[2].tolist() == [1.0] * 6 and sorted((rows != 1).sum(axis=1).tolist()) == [0, *[1] * 24]
    assert rows[[0, 5, 24]].tolist() == [[0.2, 1, 1, 1, 1, 1], [1, 0.2, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1.8]]


def test_instances_differ_only_in_their_masks() -> None:
    maps = np.array([[0.5, 0, 0, 0.5, 0, 0], [0.5, 0, 0, 0.5, 1, 0], [0.5, 0, 0, 0.5, 0, 1]])
    drawn = [*drawings(4, maps, np.array([0.3, 0.3, 0.4]), SMALL)]
    assert [(each.variation, each.instance) for each in drawn[:4]] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    first, second = drawn[6].bits, drawn[7].bits  # of the variation that changes nothing
    assert (first != second).any()
    blank = ~(first | second | drawn[8].bits)
    assert blank.mean() > 0.2  # where no patch ever lies
    again = [*drawings(4, maps, np.array([0.3, 0.3, 0.4]), SMALL)]
    other = [*drawings(5, maps, np.array([0.3, 0.3, 0.4]), SMALL)]
    assert all((a.bits == b.bits).all() for a, b in zip(drawn, again, strict=True))
    assert (other[6].bits != first).any()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, made in one go."""
    folder = tmp_path_factory.mktemp("fractal") / "three"
    make(folder, 3, settings=SMALL)
    return folder


def test_a_shard_holds_a_class_named_as_published(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == sorted([*SHARDS, "categories.csv", "fractal.json"])
    with tarfile.open(made / "train-00002.tar") as shard:
        names = shard.getnames()
        assert len(names) == 2 * 25 * SMALL.instances * 4 and len(set(names)) == len(names)
        assert names[:2] == ["00002_00_count_0_flip0.png", "00002_00_count_0_flip0.cls"]
        assert names[-2] == "00002_24_count_1_flip3.png"
        assert {shard.extractfile(name).read() for name in names if name.endswith(".cls")} == {b"2"}  # type: ignore
        image = Image.open(io.BytesIO(shard.extractfile(names[16]).read()))  # type: ignore[union-attr]
        assert image.size == (32, 32)
        assert {colour for _, colour in image.convert("RGB").getcolors() or []} == {(0, 0, 0), (127, 127, 127)}
        train = {shard.extractfile(name).read() for name in names if name.endswith("png")}  # type: ignore[union-attr]
    with tarfile.open(made / "val-00002.tar") as shard:
        pictures = [name for name in shard.getnames() if name.endswith("png")]
        assert len(pictures) == 25 and pictures[3] == "00002_03_count_2_flip0.png"
        val = [shard.extractfile(name).read() for name in pictures]  # type: ignore[union-attr]
    assert sum(picture in train for picture in val) < 3  # only where the masks hardly show


def test_an_image_of_a_shard_is_the_drawing(made: Path) -> None:
    category = read_table(made / "categories.csv").found[1]
    drawn = [*drawings(1, category.maps, category.shares, SMALL)][3 * 9 + 1].bits
    with tarfile.open(made / "train-00001.tar") as shard:
        data = shard.extractfile("00001_09_count_1_flip2.png").read()  # type: ignore[union-attr]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("L")), drawn[:, ::-1] * 127)


def test_a_maker_that_was_stopped_goes_on_and_makes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    def stop(done: int, of: int, what: str) -> None:
        if (done, what) == (1, "classes"):
            raise KeyboardInterrupt

    folder = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        make(folder, 3, settings=SMALL, progress=stop)
    assert [path.name for path in folder.glob("*.tar")] and not (folder / "train-00001.tar").exists()
    (folder / f".train-00001.tar.{socket.gethostname()}.4711").write_bytes(b"half a shard of a maker that was killed")
    first = (folder / "train-00000.tar").stat().st_mtime_ns
    reported: list[tuple[int, int, str]] = []
    make(folder, 3, settings=SMALL, workers=2, progress=lambda *counts: reported.append(counts))
    assert digests(folder) == digests(made)
    assert (folder / "train-00000.tar").stat().st_mtime_ns == first
    assert reported[-3:] == [(1, 3, "classes"), (2, 3, "classes"), (3, 3, "classes")]


def test_images_of_another_look_are_not_mixed_in(made: Path) -> None:
    with pytest.raises(WorkloadError, match=r"fractal.json: holds images of .*side=32.* not of .*side=362"):
        make(made, 3)


def test_a_damaged_note_is_named(made: Path, tmp_path: Path) -> None:
    assert read_settings(made) == SMALL
    assert read_settings(tmp_path) is None
    (tmp_path / "fractal.json").write_text('{"side": 32')
    with pytest.raises(WorkloadError, match="fractal.json: is damaged"):
        make(tmp_path, 1, settings=SMALL)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkloadError, match="file/fractal: cannot be written"):
        make(tmp_path / "file" / "fractal", 1, settings=SMALL)
