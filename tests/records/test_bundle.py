"""A bundle holds what compares and what explains, is verified to the last byte, and lies nowhere but in its folder."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from kbench.errors import ResultsError
from kbench.records import bundle
from kbench.records.folders import ExperimentDir


@pytest.fixture
def packed(make_run, experiment_dir: ExperimentDir, tmp_path: Path) -> Path:
    """An archive of an experiment with one run, a checkpoint and a draft of it left out."""
    run = make_run(epochs=1, end="done")
    run.checkpoint.write_bytes(bytes(1000))
    (run.path / ".epochs.jsonl.host.1").write_bytes(b"half")
    archive = tmp_path / "x.kbench.tar.gz"
    found = bundle.pack(experiment_dir, archive, extra={"tables/compare.txt": b"a table\n"})
    assert {Path(name).name: size for name, size in found.left_out.items()} == {
        "checkpoint.pt": 1000,
        ".epochs.jsonl.host.1": 4,
    }
    return archive


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def packed_again(archive: Path, contents: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE, twice: str = "") -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name in [*contents, *[twice] * bool(twice)]:
            member = tarfile.TarInfo(name)
            member.size = len(contents[name])
            member.type = kind if name not in ("bundle.json", "experiment.yaml") else tarfile.REGTYPE
            tar.addfile(member, io.BytesIO(contents[name]))


def test_what_was_packed_is_what_is_unpacked(packed: Path, experiment_dir: ExperimentDir, tmp_path: Path) -> None:
    found, folder = bundle.unpack(packed, tmp_path / "elsewhere")
    assert folder.path == tmp_path / "elsewhere" / experiment_dir.path.name
    there = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    assert there == {*found.files, "bundle.json"}
    for run in experiment_dir.all_runs():
        assert folder.run(run.run_id).journal.read_bytes() == run.journal.read_bytes()
    assert (folder.path / "tables" / "compare.txt").read_bytes() == b"a table\n"
    with pytest.raises(ResultsError, match="is there already"):
        bundle.unpack(packed, tmp_path / "elsewhere")


def test_every_byte_of_a_bundle_is_verified(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for place in range(0, len(whole), 7):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            bundle.read(packed)
        except ResultsError as error:
            assert str(packed) in error.message
        else:
            assert place < 10  # time, system and flags of the gzip header say nothing of the contents
    for place in (0, 1, len(whole) // 2, len(whole) - 1):
        packed.write_bytes(whole[:place])
        with pytest.raises(ResultsError, match="is no whole .tar.gz"):
            bundle.read(packed)


@pytest.mark.parametrize(
    "name", ["../../climbs", "/tmp/climbs", "runs/../../climbs", "./x", "runs//x", ".hidden", "a/checkpoint.pt"]
)
def test_a_member_that_would_lie_elsewhere_is_refused(name: str, packed: Path, tmp_path: Path) -> None:
    contents = members(packed)
    listed = json.loads(contents["bundle.json"])
    listed["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "n_bytes": 1}
    packed_again(packed, {**contents, "bundle.json": json.dumps(listed).encode(), name: b"x"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResultsError, match="would lie elsewhere|is in no bundle"):
        bundle.unpack(packed, tmp_path / "elsewhere")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_plain_file_is_refused(kind: bytes, packed: Path) -> None:
    packed_again(packed, members(packed), kind=kind)
    with pytest.raises(ResultsError, match="is no plain file"):
        bundle.read(packed)


def test_a_member_that_is_there_twice_more_or_not_at_all_is_named(packed: Path) -> None:
    contents = members(packed)
    packed_again(packed, contents, twice="tables/compare.txt")
    with pytest.raises(ResultsError, match="tables/compare.txt is in it twice"):
        bundle.read(packed)
    packed_again(packed, {**contents, "more": b""})
    with pytest.raises(ResultsError, match="more is in it and not in bundle.json"):
        bundle.read(packed)
    packed_again(packed, {**contents, "tables/compare.txt/x": b""})
    with pytest.raises(ResultsError, match="lies in a file"):
        bundle.read(packed)
    del contents["tables/compare.txt"]
    packed_again(packed, contents)
    with pytest.raises(ResultsError, match="tables/compare.txt is missing"):
        bundle.read(packed)


@pytest.mark.parametrize("listed", [b"", b"{}", b"[" * 100_000, b'{"experiment": "../x"}', b"\xff"])
def test_an_archive_of_something_else_is_no_bundle(listed: bytes, packed: Path) -> None:
    packed_again(packed, {"bundle.json": listed})
    with pytest.raises(ResultsError, match="is no bundle of kbench"):
        bundle.read(packed)


def test_an_archive_that_unpacks_without_end_is_refused(packed: Path) -> None:
    packed_again(packed, {**members(packed), "zeros": bytes(2**26)})
    with pytest.raises(ResultsError, match="unpacks to more than 200 times its size"):
        bundle.read(packed)
    tar = gzip.decompress(packed.read_bytes())[: 2**20]
    packed.write_bytes(gzip.compress(tar[:512] + bytes(2**27)))
    with pytest.raises(ResultsError, match="unpacks to more than 200 times|is no whole"):
        bundle.read(packed)
