"""Files that are whole and still mislead: names with dots, doubled members, 16-bit pixels, a second preparation."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kbench.data.registry import DatasetInfo
from kbench.data.sources.shards import read_shard
from kbench.data.store.images import in_rgb
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError


def shard(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            content = b"1" if name.endswith(".cls") else b"an image"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "names, message",
    [
        (["0.jpg", "0.cls", "img_2.0_0.jpg", "img_2.0_0.cls"], "img_2.0_0.jpg: its key ends at the first dot"),
        (["a.b.cls"], "a.b.cls: its key ends at the first dot"),
        (["0.jpg", "0.cls", "0.jpg"], "0.jpg comes after another one of its key"),
        (["0.jpg", "0.png", "0.cls"], "0.png comes after another one of its key"),
        (["0.jpg", "0.cls", "0.cls"], "0.cls comes after another one of its key"),
    ],
)
def test_a_member_that_would_be_lost_is_named(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=message):
        read_shard(shard(tmp_path / "train-0.tar", *names))


def test_what_else_a_sample_has_beside_its_image_is_passed_over(tmp_path: Path) -> None:
    names = ("0.jpg", "0.cls", "0.seg.png", "0.json")
    assert len(read_shard(shard(tmp_path / "train-0.tar", *names))) == 1


def test_gray_of_16_bits_keeps_its_mean(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256 * 4).astype("uint16").reshape(4, 256)
    Image.fromarray(ramp).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        found = np.asarray(in_rgb(image)).astype(float)
    assert found.shape == (4, 256, 3) and found.min() == 0 and found.max() == 255
    assert found.mean() == pytest.approx(ramp.mean() / 257, abs=0.01)


def test_pixels_of_32_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels of 32 bits"):
        in_rgb(Image.new("F", (2, 2)))


def test_a_link_that_is_there_already_is_fine_and_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "from" / "train").mkdir(parents=True)
    (tmp_path / "other" / "train").mkdir(parents=True)
    info = DatasetInfo.__new__(DatasetInfo)
    job = PrepareJob(dataset="x", info=info, folder=tmp_path / "x", look_in=(tmp_path / "from",))
    for _ in range(2):
        job.link_folders("train")
    assert (tmp_path / "x" / "train").resolve() == tmp_path / "from" / "train"
    with pytest.raises(WorkloadError, match="is there and is not"):
        job.link(tmp_path / "other" / "train", "train")
