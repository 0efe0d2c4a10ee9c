"""Tables for a paper."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kbench.analysis.rows import Comparison
from kbench.analysis.tables.latex import escaped, latex, macro_texts
from kbench.analysis.tables.layout import tables
from kbench.analysis.tables.model import Cell, Line, Number, Table

DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\begin{document}
\input{tables}
KAKURENBO: \MACRO.
\end{document}
"""


@pytest.mark.latex
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_a_paper_compiles_with_the_tables_and_a_macro_in_its_text(full: Comparison, tmp_path: Path) -> None:
    made = latex(tables(full), full.experiment, full.findings)
    name = next(iter(macro_texts(tables(full), full.experiment)))
    (tmp_path / "tables.tex").write_text(made)
    (tmp_path / "paper.tex").write_text(DOCUMENT.replace("MACRO", name))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").exists()
    assert "Missing character" not in done.stdout


def test_macros_are_of_letters_only_and_each_is_defined_once(full: Comparison) -> None:
    names = re.findall(r"^\\newcommand\{\\(.*?)\}", latex(tables(full), "book"), re.MULTILINE)
    assert len(names) > 200
    assert all(re.fullmatch("[A-Za-z]+", name) for name in names)
    assert len(set(names)) == len(names)


def test_a_macro_holds_the_number_as_the_table_prints_it(full: Comparison, read: Any) -> None:
    macros = read.macros(latex(tables(full), "book"))
    row = next(row for row in full.rows if (row.pair, row.strategy) == ("digits-cnn-digits", "sb-2"))
    assert row.time_diff is not None and row.time_diff_ci is not None
    assert macros["kbBookDigitsCnnDigitsSbTwoTimeDiff"] == f"{100 * row.time_diff:+.1f}"
    assert macros["kbBookDigitsCnnDigitsSbTwoTimeDiffCiHigh"] == f"{100 * row.time_diff_ci[1]:+.1f}"
    assert macros["kbBookDigitsCnnDigitsSbTwoTargetZeroPointEightFiveReached"] == "2"
    assert macros["kbBookDigitsCnnDigitsSbTwoTargetFinalTimesOnePointZeroFiveReached"] == "3"
    texts = macro_texts(tables(full), "book")
    assert macros == texts


def test_what_is_not_known_has_no_macro(full: Comparison) -> None:
    names = macro_texts(tables(full), "book")
    assert "kbBookMlpDigitsRandomTwoFiveAccDiff" in names
    assert "kbBookMlpDigitsRandomTwoFiveAccDiffCiLow" not in names


def test_names_that_differ_in_signs_only_have_macros_of_their_own() -> None:
    cells = (Cell("1", (Number("seeds", 1, "1"),)),)
    lines = tuple(Line("p", strategy, cells) for strategy in ("sb2", "sb-2", "sb_2"))
    table = Table("accuracy", "t", ("strategy", "seeds"), lines, ())
    assert list(macro_texts([table], "e")) == ["kbEPSbTwoSeeds", "kbEPSbTwoSeedsX", "kbEPSbTwoSeedsXX"]


@pytest.mark.parametrize(
    ("plain", "code"),
    [
        ("random_25 & 3 %", r"random\_25 \& 3 \%"),
        ("-1.20", "$-$1.20"),
        ("[-1.2, +0.3]", "[$-$1.2, +0.3]"),
        ("sb-2", "sb-2"),
        ("s0-1e-05", "s0-1e-05"),
        ("99.44 ±0.16", r"99.44 $\pm$0.16"),
        ("1.41x", r"1.41$\times$"),
        (">=1.41x", r"$\geq$1.41$\times$"),
        ("final*1.1", r"final$\times$1.1"),
        ("-", "--"),
        ("{a}$#~^\\<", r"\{a\}\$\#\textasciitilde{}\textasciicircum{}\textbackslash{}$<$"),
    ],
)
def test_signs_are_written_as_latex_prints_them(plain: str, code: str) -> None:
    assert escaped(plain) == code
