"""Files survive whatever happens to their writers."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kbench import files
from kbench.errors import ResultsError


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


def draft_of(path: Path, host: str, process: int) -> Path:
    draft = path.with_name(f".{path.name}.{host}.{process}")
    draft.write_text("half of it")
    return draft


def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_draft_whose_writer_is_dead_is_removed_by_the_next_and_others_stay(tmp_path: Path) -> None:
    path, here = tmp_path / "x[1].json", socket.gethostname()
    left = draft_of(path, here, dead())
    alive, elsewhere = draft_of(path, here, os.getppid()), draft_of(path, "elsewhere", 1)
    other = draft_of(tmp_path / "y.json", here, dead())
    files.write(path, "all of it")
    assert path.read_text() == "all of it" and not left.exists()
    assert alive.exists() and elsewhere.exists() and other.exists()


def test_a_draft_of_another_host_is_removed_after_a_day(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    left = draft_of(path, "elsewhere", 1)
    os.utime(left, (0, 0))
    files.write(path, "all of it")
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write(path, "old")
    with pytest.raises(KeyError), files.writing(path) as draft:
        draft.write_text("new")
        raise KeyError
    assert os.listdir(tmp_path) == ["x.json"] and path.read_text() == "old"


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.json"
    for write in (lambda: files.write(path, "x"), lambda: files.append(path, {}), lambda: files.create(path, "x")):
        with pytest.raises(ResultsError, match=f"^{path}: cannot be written: No such file or directory$"):
            write()


def test_of_several_that_create_a_file_the_first_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert [files.create(path, text) for text in ("first", "second")] == [True, False]
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["x.json"]


def test_a_lock_keeps_others_out_and_what_the_file_holds_stays(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("{}\n")
    program = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'ab'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    attempt = [sys.executable, "-c", program, str(path)]
    with files.locked(path):
        assert subprocess.run(attempt, capture_output=True).returncode == 1
    assert subprocess.run(attempt, capture_output=True).returncode == 0
    assert path.read_text() == "{}\n"
