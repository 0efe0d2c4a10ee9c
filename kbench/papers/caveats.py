"""What stands against a published table, before anything is compared with it."""

from collections.abc import Iterator

from kbench.papers.model import Cell, Publication, Table


def place(publication: Publication, table: Table) -> str:
    """Where a table stands, and what it is of."""
    return f"{publication.id}, {table.where}, {table.pair}"


def caveats(publication: Publication, table: Table) -> Iterator[str]:
    """Differences that are misprinted, and the doubts noted beside the table, its cells and its workload."""
    for cell in table.cells:
        if table.misprinted(cell):
            yield _misprint(publication, table, cell)
    for caveat in table.caveats:
        yield f"{place(publication, table)}: {caveat}"
    for cell in table.cells:
        if cell.caveat:
            yield f"{place(publication, table)}, {cell.strategy}: {cell.caveat}"
    for caveat in publication.workloads[table.pair].caveats:
        yield f"{publication.id}, {table.pair}: {caveat}"


def _misprint(publication: Publication, table: Table, cell: Cell) -> str:
    base, change = table.baseline(cell.at), table.difference(cell)
    assert base is not None and change is not None
    return (
        f"{place(publication, table)}: prints a difference of {cell.diff} for {cell.strategy}; "
        f"{cell.value} and {base.value} differ by {change:+.{cell.digits}f}"
    )
