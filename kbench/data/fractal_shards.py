"""FractalDB as a data set: drawn where it is missing, then read like any tar shards."""

from kbench.data import shards
from kbench.data.fractal.make import LOOK, make
from kbench.data.fractal.render import Look
from kbench.data.stamp import Stamp
from kbench.data.work import Work


def prepare(work: Work) -> Stamp:
    """Draw what is missing of the classes, and index the shards.

    A folder that somebody began with another look (``fractal.json``) goes on with that one.
    """
    begun = work.folder / "fractal.json"
    look = LOOK.validate_json(begun.read_bytes()) if begun.exists() else Look()
    make(
        work.folder,
        work.card.n_classes,
        look=look,
        workers=work.workers,
        told=lambda done, of, what: work.tell(f"{work.dataset}: {done:,} of {of:,} {what}"),
    )
    return shards.prepare(work)
