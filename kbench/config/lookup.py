"""Find experiment, site and job files by name."""

from pathlib import Path

import kbench
from kbench.config.parse import did_you_mean
from kbench.errors import ConfigError


def folders(kind: str) -> list[Path]:
    """List the folders where files of a kind (``configs``, ``configs/sites``, ``jobs``) lie; earlier ones win.

    The working folder comes first, then what travels with the package, then its checkout.
    """
    package = Path(kbench.__file__).parent
    places = [Path.cwd() / kind, package / kind, package.parent / kind]
    return [place for i, place in enumerate(places) if place.is_dir() and place not in places[:i]]


def names(kind: str, ending: str) -> dict[str, Path]:
    """Map every name of a kind to its file."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for path in sorted(folder.glob(f"*{ending}")):
            found.setdefault(path.name.removesuffix(ending), path)
    return found


def find(name: str, kind: str, ending: str, what: str) -> Path:
    """Find the file that ``name`` means: a path to a file, or a name in one of ``folders``.

    Raises ConfigError with what there is when there is no such file.
    """
    path = Path(name)
    if path.suffix or "/" in name:
        if path.is_file():
            return path
        raise ConfigError(
            f"{name}: {'is a folder' if path.is_dir() else 'no such file'}, wanted {what}",
            hint=f"names without an ending are looked up in {kind}/; kbench list shows them",
        )
    known = names(kind, ending)
    if name in known:
        return known[name]
    raise ConfigError(
        f"{what} {name!r} not found{did_you_mean(name, known)}",
        hint=f"give a path to a {ending} file, or a name in {kind}/",
    )
