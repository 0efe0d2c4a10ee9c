"""The formats that tables are printed in, by name.  One more is a file here and a line in ``FORMATS``."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kbench.analysis.tables.model import Document

FORMATS = {  # name: where its TableFormat is, imported when it is used
    "text": "kbench.analysis.tables.plain:TEXT",
    "markdown": "kbench.analysis.tables.plain:MARKDOWN",
    "latex": "kbench.analysis.tables.latex:LATEX",
    "csv": "kbench.analysis.tables.plain:CSV",
    "json": "kbench.analysis.tables.plain:JSON",
}


@dataclass(frozen=True)
class TableFormat:
    """A way to print a comparison."""

    about: str
    render: "Callable[[Document], str]"
    has_findings: bool = True  # whether what is printed holds the findings


def table_format(name: str) -> TableFormat:
    """The format with a name of ``FORMATS``."""
    return cast(TableFormat, pkgutil.resolve_name(FORMATS[name]))
