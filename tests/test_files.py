"""Files survive whatever happens to their writers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kbench import files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "epochs.jsonl"


def test_what_was_appended_is_read_back_in_order(path: Path) -> None:
    for epoch in range(3):
        files.append(path, {"epoch": epoch, "text": "zwölf\nlines"})
    assert list(files.read(path)) == [{"epoch": epoch, "text": "zwölf\nlines"} for epoch in range(3)]


def test_each_entry_is_one_whole_line(path: Path) -> None:
    files.append(path, {"text": "a\nb\r\u2028c"})
    files.append(path, {})
    assert path.read_bytes().count(b"\n") == 2
    assert path.read_bytes().endswith(b"\n")


def test_a_journal_that_is_not_there_is_empty(path: Path) -> None:
    assert list(files.read(path)) == []


@pytest.mark.parametrize("kept", [1, 5, 11])
def test_a_torn_last_line_is_passed_over(kept: int, path: Path) -> None:
    files.append(path, {"epoch": 0})
    files.append(path, {"epoch": 1})
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + whole[1][:kept])
    assert list(files.read(path)) == [{"epoch": 0}]


def test_a_torn_last_line_does_not_swallow_the_next_entry(path: Path) -> None:
    files.append(path, {"epoch": 0})
    path.write_bytes(path.read_bytes() + b'{"epoch": 1, "val')
    files.append(path, {"epoch": 1})
    files.append(path, {"epoch": 2})
    assert list(files.read(path)) == [{"epoch": epoch} for epoch in range(3)]


@pytest.mark.parametrize("noise", [b"\x00\x00\x00\n", b"\xff\xfe\n", b"\n\n", b"[1, 2]\n", b"7\n", b"null\n"])
def test_what_is_no_entry_is_passed_over(noise: bytes, path: Path) -> None:
    path.write_bytes(noise)
    files.append(path, {"epoch": 0})
    assert list(files.read(path)) == [{"epoch": 0}]


def test_a_number_that_json_lacks_is_refused_and_nothing_is_written(path: Path) -> None:
    files.append(path, {"epoch": 0})
    with pytest.raises(ValueError):
        files.append(path, {"loss": float("nan")})
    assert list(files.read(path)) == [{"epoch": 0}]


def test_an_entry_is_on_the_disk_when_its_writer_is_killed_at_once(path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from kbench import files\n"
        "for i in range(5): files.append(Path(sys.argv[1]), {'epoch': i})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60)
    assert killed.returncode == -9
    assert [entry["epoch"] for entry in files.read(path)] == list(range(5))


def test_json_is_written_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": 1})
    files.write_json(tmp_path / "x.json", {"a": 2})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 2}
    assert os.listdir(tmp_path) == ["x.json"]


def test_json_that_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "x.json", {("no", "key"): 2})  # type: ignore[dict-item]
    assert files.read_json(tmp_path / "x.json") == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "7"])
def test_json_that_is_missing_or_torn_is_empty(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    assert files.read_json(tmp_path / "x.json") == {}
