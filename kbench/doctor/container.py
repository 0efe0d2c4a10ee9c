"""Whether the site's container can be started."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kbench.doctor.ask import ask
from kbench.doctor.item import Item, missing, ok, warning
from kbench.doctor.need import Need

SECONDS = 10.0
KNOWN = ("apptainer", "singularity")
IMAGE = ".sif"


def container(need: Need) -> Iterator[Item]:
    """Look for the container command and its image, or for one that could be used."""
    words = need.site.container
    names = [words[0]] if words else [name for name in KNOWN if shutil.which(name)][:1]
    if not names:
        return
    version = ask(need.prepared([names[0], "--version"]), seconds=SECONDS)
    if not version.ok:
        remedy = "load its module in setup:, or take container: out of the site file"
        if need.on_others:
            yield warning("container", f"{version.why}, on this node at least", remedy)
        else:
            yield missing("container", version.why, remedy, needed=bool(words))
        return
    images = [Path(os.path.expandvars(word)) for word in words if word.endswith(IMAGE)]
    absent = [str(image) for image in images if not image.is_file()]
    if absent:
        remedy = f"{names[0]} build it, or change container: in the site file"
        yield missing("container", f"no image {', '.join(absent)}", remedy, needed=True)
    else:
        yield ok("container", ", ".join([version.first_line, *map(str, images)]))
