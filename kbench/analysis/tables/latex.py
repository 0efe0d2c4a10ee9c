r"""Tables for a paper: booktabs, and a macro for each number so that the text can cite it."""

import re
from collections.abc import Iterator, Sequence

from kbench.analysis.finding import Finding
from kbench.analysis.tables.model import NONE, Table
from kbench.analysis.tables.registry import TableFormat

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"}, "<": "$<$", ">": "$>$", "*": r"$\times$",
}  # fmt: skip
SPELLED = {
    **dict(zip("0123456789", "Zero One Two Three Four Five Six Seven Eight Nine".split(), strict=True)),
    ".": "Point", "*": "Times", "+": "Plus",
}  # fmt: skip


def latex(tables: Sequence[Table], experiment: str, findings: Sequence[Finding] = ()) -> str:
    r"""A fragment to \input: macros, then tables; it needs the package booktabs."""
    comments = [f"% {found.severity}: {found.text}" for found in findings]
    head = [f"% kbench compare {experiment}; needs \\usepackage{{booktabs}}", *comments]
    macros = [rf"\newcommand{{\{name}}}{{{escaped(text)}}}" for name, text in macro_texts(tables, experiment).items()]
    return "\n".join([*head, *macros, *(_table(table) for table in tables)])


def macro_texts(tables: Sequence[Table], experiment: str) -> dict[str, str]:
    """The macros' names, of letters only, and the known numbers that they stand for, as printed."""
    found: dict[str, str] = {}
    for table in tables:
        for line in table.lines:
            for number in (number for cell in line.cells for number in cell.numbers if number.value is not None):
                name = _letters("kb", experiment, line.pair, line.strategy, number.key)
                while name in found:  # names that differ in signs only
                    name += "X"
                found[name] = number.text
    return found


def escaped(text: str) -> str:
    """Plain text as LaTeX prints it: minus signs, times and the characters that mean something."""
    if text == NONE:
        return "--"
    text = "".join(SPECIAL.get(sign, sign) for sign in text)
    text = re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)
    text = re.sub(r"(?<=\d)x\b", r"$\\times$", text)
    return text.replace("$>$=", r"$\geq$")


def _letters(first: str, *names: str) -> str:
    parts = [part for name in names for part in re.findall(r"[A-Za-z]+|[0-9.*+]", name)]
    return first + "".join(SPELLED.get(part, part[:1].upper() + part[1:]) for part in parts)


def _table(table: Table) -> str:
    rows = [(row.head, *(cell.text for cell in row.cells)) for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"  \caption{{{escaped(table.title)}. {' '.join(map(escaped, table.notes))}}}",
            r"  \makebox[\linewidth]{%",  # what is wider than the text stands out on both sides
            rf"  \begin{{tabular}}{{l{'r' * (len(table.heads) - 1)}}}",
            r"    \toprule",
            *_rows([table.heads]),
            r"    \midrule",
            *_rows(rows),
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"\end{table}",
        ]
    )


def _rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield f"    {' & '.join(map(escaped, row))} \\\\"


LATEX = TableFormat(
    "booktabs tables, and a macro for each number",
    lambda document: latex(document.tables, document.comparison.experiment, document.findings),
)
