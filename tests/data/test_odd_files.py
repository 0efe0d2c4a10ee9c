"""Files that are whole and still mislead: names with dots, doubled members, 16-bit pixels, a second preparation."""

import gzip
import io
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kbench.data.registry import DatasetInfo
from kbench.data.sources import image_folders, mnist
from kbench.data.sources.shards import read_shard
from kbench.data.store import prepare_job
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


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="PNG")


def folders(base: Path) -> PrepareJob:
    """A data set of two classes, to be prepared from ``base / "from"``; what is reported is in ``reported``."""
    for part in ("train", "val"):
        for name in ("a", "b"):
            image(base / "from" / part / name / "x.png")
    info = DatasetInfo.__new__(DatasetInfo)
    return PrepareJob(
        dataset="folder:x", info=info, folder=base / "x", look_in=(base / "from",), report=reported.append
    )


reported: list[str] = []


def test_files_that_are_no_images_are_counted_by_their_endings(tmp_path: Path) -> None:
    reported.clear()
    job, train = folders(tmp_path), tmp_path / "from" / "train"
    for name in ("a/1.tif", "a/2.TIFF", "a/deep/3.gif", "b/notes", "loose.png"):
        image(train / name)
    assert image_folders.prepare(job).n_train == 2
    (warning,) = [text for text in reported if text.startswith("warning:")]
    assert "train: 5 files were left out" in warning
    for ending in (".tif 1", ".tiff 1", ".gif 1", "no ending 1", "images in no class 1"):
        assert ending in warning


def test_a_link_to_a_folder_around_it_is_refused(tmp_path: Path) -> None:
    job = folders(tmp_path)
    (tmp_path / "from" / "train" / "a" / "again").symlink_to(tmp_path / "from" / "train")
    with pytest.raises(WorkloadError, match="again is a link to a folder that it lies in|is a link to a folder"):
        image_folders.prepare(job)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    job = folders(tmp_path)
    (tmp_path / "from" / "train" / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(WorkloadError, match="gone.png cannot be read: No such file"):
        image_folders.prepare(job)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_member_of_a_shard_that_is_no_plain_file_is_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "train-0.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("0.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(WorkloadError, match="0.jpg is no plain file|is no whole tar"):
        read_shard(path)


def test_a_class_that_is_no_number_but_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train-0.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("0.cls")
        member.size = 100_000
        tar.addfile(member, io.BytesIO(b"1" * member.size))
    with pytest.raises(WorkloadError, match="must hold the number of a class"):
        read_shard(path)


def test_what_unpacks_to_more_than_any_data_set_has_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(prepare_job, "MAX_UNPACKED", 2**20)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(2**21)))
    with pytest.raises(WorkloadError, match="unpacks to more than 1 MiB"):
        prepare_job.read_archive(path)
    with pytest.raises(WorkloadError, match="unpacks to more than 1 MiB"):
        mnist.read_raw(path)


def test_an_image_of_more_pixels_than_pillow_takes_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    job = folders(tmp_path)
    with pytest.raises(WorkloadError, match="x.png .* is damaged: Image size .16 pixels. exceeds limit"):
        image_folders.prepare(job)


def test_files_with_the_names_and_sizes_of_mnist_are_mnist_by_their_contents_alone(tmp_path: Path, formats) -> None:
    formats.mnist(tmp_path, packed=False)
    info = SimpleNamespace(n_train=100, n_val=40)  # as many samples as the official set
    job = PrepareJob(dataset="mnist", info=info, folder=tmp_path / "x", look_in=(tmp_path,))
    with pytest.raises(
        WorkloadError,
        match="train-images-idx3-ubyte is damaged, was changed or is of another data set: the MD5 of what is in it",
    ):
        mnist.read(job)
