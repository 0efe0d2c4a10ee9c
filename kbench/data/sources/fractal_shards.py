"""FractalDB as a data set: drawn where it is missing, then read like any tar shards."""

from kbench.data.sources import shards
from kbench.data.sources.fractal import begun, make
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob


def prepare(work: PrepareJob) -> Manifest:
    """Draw what is missing of the classes, and index the shards.

    A folder that somebody began with another look (``fractal.json``) goes on with that one.
    """
    make(
        work.folder,
        work.card.n_classes,
        look=begun(work.folder),
        workers=work.workers,
        told=lambda done, of, what: work.tell(f"{work.dataset}: {done:,} of {of:,} {what}"),
    )
    return shards.prepare(work)
