"""Files are found by name: in the working folder first, then with the package."""

from pathlib import Path

import pytest

import kbench
from kbench.config.lookup import find, names
from kbench.errors import ConfigError

CHECKOUT = Path(kbench.__file__).parent.parent
KINDS = [("configs", ".yaml"), ("configs/sites", ".yaml"), ("jobs", ".sh")]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind, ending", KINDS)
def test_what_travels_with_the_package_is_found_from_anywhere(kind: str, ending: str) -> None:
    shipped = {path.name.removesuffix(ending) for path in (CHECKOUT / kind).glob(f"*{ending}")}
    assert shipped
    assert shipped <= names(kind, ending).keys()


@pytest.mark.parametrize("name, kind, ending", [("quick", *KINDS[0]), ("laptop", *KINDS[1]), ("local", *KINDS[2])])
def test_a_file_of_the_working_folder_wins(name: str, kind: str, ending: str, empty_folder: Path) -> None:
    theirs = find(name, kind, ending, "file")
    (empty_folder / kind).mkdir(parents=True)
    ours = empty_folder / kind / f"{name}{ending}"
    ours.write_text("")
    assert theirs != ours
    assert find(name, kind, ending, "file") == ours


def test_a_path_is_taken_as_it_is(empty_folder: Path) -> None:
    (empty_folder / "quick.yaml").write_text("")
    assert find("quick.yaml", "configs", ".yaml", "experiment") == Path("quick.yaml")


@pytest.mark.parametrize(
    "name, message",
    [
        ("quik", "experiment 'quik' not found; did you mean 'quick'?"),
        ("gone.yaml", "gone.yaml: no such file, wanted experiment"),
        ("./quick", "./quick: no such file, wanted experiment"),
        ("a.folder", "a.folder: is a folder, wanted experiment"),
    ],
)
def test_a_name_that_means_nothing_is_refused(name: str, message: str, empty_folder: Path) -> None:
    (empty_folder / "a.folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        find(name, "configs", ".yaml", "experiment")
    assert caught.value.message == message


def test_an_empty_name_means_no_file() -> None:
    with pytest.raises(ConfigError):
        find("", "configs", ".yaml", "experiment")
