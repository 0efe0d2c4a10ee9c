"""Data sets of images that are read through an index: kept, loaded, verified, wherever their images lie."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import kbench
from kbench.data.image_reader import ImageReader
from kbench.data.loader import SampleReader
from kbench.data.store import index, manifest
from kbench.data.store.index import Index
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob
from kbench.data.store.verify_images import damaged
from kbench.errors import WorkloadError

PARTS = ("train", "val")
SIZE = 224  # [pixel] that images are brought to, unless the recipe says otherwise
SPOT_CHECKS = 64  # files of each part that are looked for before every run


def keep(
    work: PrepareJob,
    parts: dict[str, Index],
    *,
    n_classes: int,
    trees: tuple[str, ...] = (),
    checked: tuple[str, ...] = (),
) -> Manifest:
    """Write the index of both parts, decode every image once, and write the manifest last.  Raises WorkloadError."""
    work.folder.mkdir(parents=True, exist_ok=True)
    (work.folder / manifest.NAME).unlink(missing_ok=True)
    files: dict[str, int] = {}
    for part in PARTS:
        if not len(parts[part]):
            raise WorkloadError(f"{work.dataset}: {work.folder} holds no {part} images")
        files |= index.write(work.folder, part, parts[part])
    digests = {name: manifest.digest(work.folder / name) for name in files}
    wrong = damaged(work.folder, PARTS, workers=work.workers, tell=work.tell)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise WorkloadError(wrong[0] + more, hint="get it again, or take it away, and run this again")
    for part in PARTS:
        names = parts[part].names
        picked = names[:: max(1, len(names) // SPOT_CHECKS)] if trees else names
        files |= {name: (work.folder / name).stat().st_size for name in picked}
    made = Manifest(
        dataset=work.dataset,
        n_train=len(parts["train"]),
        n_val=len(parts["val"]),
        n_classes=n_classes,
        shape=(3, 0, 0),
        checked=(*checked, "every image was decoded"),
        files=files,
        trees=trees,
        digests=digests,
        kbench_version=kbench.__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.write(work.folder, made)
    return made


def load(place: Path | None) -> tuple[SampleReader, SampleReader]:
    """Open both parts: (training, validation)."""
    assert place is not None, "its card names a folder"
    train, val = (SampleReader(ImageReader(place, index.read(place, part), size=SIZE)) for part in PARTS)
    return train, val


def verify(place: Path, written: Manifest, workers: int, tell: Callable[[str], None]) -> list[str]:
    """Sentences: files that changed, images that cannot be decoded."""
    wrong = manifest.changed(place, written)
    return wrong or damaged(place, PARTS, workers=workers, tell=tell)
