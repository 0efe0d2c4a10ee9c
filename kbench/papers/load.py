"""Reading the publications that travel with kbench."""

from functools import cache
from pathlib import Path

from kbench.config.parse import parse
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError
from kbench.papers.model import Publication

SHELF = Path(__file__).parent


@cache
def publications(shelf: Path = SHELF) -> tuple[Publication, ...]:
    """All publications, in the order of their files' names.

    Raises ConfigError, with file and line, for a file that is not one, and for an id that is
    not its file's name.
    """
    found = []
    for path in sorted(shelf.glob("*.yaml")):
        source = read_source(path)
        publication = parse(Publication, source)
        if publication.id != path.stem:
            raise ConfigError(
                f"{source.place(('id',))}: id: must be the file's name {path.stem!r}, got {publication.id!r}"
            )
        found.append(publication)
    return tuple(found)
