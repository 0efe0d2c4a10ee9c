"""The page: everything that is known of an experiment, in one file that needs no network."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import kbench
from kbench.analysis.frame import Frames
from kbench.analysis.roles import read_specs, roles
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.layout import tables
from kbench.html_report.drawings import drawings
from kbench.html_report.html_tables import all_numbers, html_tables, import_tags
from kbench.html_report.provenance import provenance, runs, states
from kbench.html_report.settings import settings
from kbench.html_report.verdict import summaries, verdicts


@dataclass(frozen=True)
class Page:
    """A page, and the figures that could not be drawn, with the reason."""

    html: str
    skipped: Mapping[str, str]


def page(frames: Frames, comparison: Comparison) -> Page:
    """Render the page about a comparison and the frames that it was made from."""
    environment = Environment(
        loader=PackageLoader("kbench", "html_report"),
        undefined=StrictUndefined,
        autoescape=True,  # names, errors and hosts are other people's words
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = (Markup(environment.get_template(name).render()) for name in ("page.js", "page.css"))
    specs = read_specs(frames)
    row_roles = roles([(row.pair, row.strategy) for row in comparison.rows], specs)
    all_tables, tags, drawn = tables(comparison), import_tags(frames), drawings(frames, comparison)
    html = environment.get_template("page.html.j2").render(
        comparison=comparison,
        version=kbench.__version__,
        script=script,
        style=style,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        states=states(frames),
        summaries=summaries(verdicts(comparison, row_roles)),
        tags=tags,
        formats=sorted(set(frames.runs["imported_from"].dropna())),
        tables=html_tables(all_tables, tags),
        all_numbers=all_numbers(all_tables),
        drawings=drawn,
        settings=settings(frames, comparison, specs),
        provenance=provenance(frames),
        runs=runs(frames),
    )
    return Page(html, drawn.skipped)
