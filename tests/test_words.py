"""The package speaks the language of its field: private words name no files, classes, functions or variables."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kbench

PACKAGE = Path(kbench.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

# Files, classes and functions of the first house (docs/glossary.md has today's words).
NAMES = set(
    "asked front Front outlook Outlook standing Standing epitaph last_words Inside inside scheduled waiting "
    "Waiting hand_in Place behind corresponding shunned promise tally Tally processor beside Beside deal chosen Placed "
    "witness Witness echo Echo Recorder Replayer Aside keepsake life on_trial OnTrial shown breach Breach "
    "Unfit cast Part "
    "Who night doubts shared sheets Sheet sheet ink printed chance reach Reach WHO stamp Stamp Work places card Card "
    "mapped pictures Pictures noise boxes decoding claim take Taken moments remembered remind Habits Spent "
    "only_front front_of leader_of job_named Seen made told said Told Said tell "
    "begin_with beginning Cast shelf Shelf SHELF catalogue Catalogue Known".split()
)
# Variables, parameters, attributes as well.
IDENTIFIERS = set(
    "told said theirs ours hand_in asked gone begun nobody anybody who whom deaf alone shunned leader leaders follower "
    "followers front words last_words standing outlook epitaph inert habits everyone residual beside put say "
    "them made kept".split()
)


def names_in(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, name, and whether it is a function's or a class's, of all that a file names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name, True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id, False
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr, False


def private_words(place: str, path: Path) -> list[str]:
    """What a file calls by a private word; leading underscores hide none."""
    found = [f"{place}: the file"] if path.stem in NAMES else []
    for line, name, defines in names_in(path):
        plain = name.lstrip("_")
        if plain in IDENTIFIERS or (defines and plain in NAMES):
            found.append(f"{place}:{line}: {name}")
    return found


@pytest.mark.parametrize("place", FILES)
def test_no_file_has_names_that_only_its_builders_understand(place: str) -> None:
    assert private_words(place, FILES[place]) == []


@pytest.mark.parametrize("source", ["def hand_in(): ...", "told = 1", "def f(theirs): ...", "class Outlook: ..."])
def test_a_planted_private_word_is_found(source: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text(source)
    assert len(private_words("plain.py", path)) == 1


if __name__ == "__main__":  # python tests/test_words.py [ROOM ...]: what is left to rename
    import sys

    for _place, _path in FILES.items():
        if len(sys.argv) == 1 or _place.startswith(tuple(sys.argv[1:])):
            print("\n".join(private_words(_place, _path)), end="\n" if private_words(_place, _path) else "")
