"""Make FractalDB: a tar shard per class, whole or not at all, going on where it was left."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kbench import files
from kbench.data.sources import shards
from kbench.data.sources.fractal.render import GREY, Bits, Drawing, RenderSettings, drawings, flipped
from kbench.data.sources.fractal.search import Category, read_table, search, write_table
from kbench.data.store.manifest import Manifest
from kbench.data.store.parallel import in_order
from kbench.data.store.prepare_job import PrepareJob
from kbench.errors import WorkloadError

Progress = Callable[[int, int, str], None]  # how many of how many are done, and of what: "categories" or "classes"
Sample = tuple[str, Bits]  # its key, and where it is grey
SETTINGS = TypeAdapter(RenderSettings)
SETTINGS_FILE = "fractal.json"
TABLE_FILE = "categories.csv"


def prepare(job: PrepareJob) -> Manifest:
    """Draw what is missing of the classes, and index the shards.

    A folder that was begun with other settings (``fractal.json``) goes on with those.
    """
    make(
        job.folder,
        job.info.n_classes,
        settings=read_settings(job.folder),
        workers=job.workers,
        progress=lambda done, of, what: job.report(f"{job.dataset}: {done:,} of {of:,} {what}"),
    )
    return shards.prepare(job)


def make(
    folder: Path,
    n_classes: int,
    *,
    settings: RenderSettings | None = None,
    workers: int = 1,
    progress: Progress = lambda done, of, what: None,
) -> None:
    """Make the shards of ``n_classes`` classes in ``folder``, train-00000.tar and val-00000.tar and so on.

    A training shard holds 25 variations x ``settings.instances`` x 4 flips (1,000 images with the published values)
    named as published; a validation shard, which FractalDB has not, one more drawing of each variation.
    Called again it makes what is missing, with the same pixels.

    Raises:
        WorkloadError: The folder holds images of other settings, or cannot be written.
    """
    settings = settings or RenderSettings()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _note_settings(folder, settings)
        categories = _categories(folder / TABLE_FILE, n_classes, workers, progress)
        missing = [i for i in range(n_classes) if not _shard(folder, "train", i).exists()]
        n_ready = n_classes - len(missing)
        progress(n_ready, n_classes, "classes")
        jobs = ((i, categories[i]) for i in missing)
        for n, _ in enumerate(in_order(partial(_make_class, folder, settings), jobs, workers=workers), start=1):
            progress(n_ready + n, n_classes, "classes")
    except OSError as error:
        raise WorkloadError(
            f"{error.filename or folder}: cannot be written: {files.reason(error)}", hint="name another data root"
        ) from error


def read_settings(folder: Path) -> RenderSettings | None:
    """Read with which settings the images of a folder are made; None where there are none.

    Raises:
        WorkloadError: Its fractal.json is damaged.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        return None
    try:
        return SETTINGS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise WorkloadError(f"{path}: is damaged", hint="remove the folder, and prepare the data set again") from error


def _note_settings(folder: Path, settings: RenderSettings) -> None:
    """Write the settings beside the images; raises WorkloadError when they were made with others."""
    found = read_settings(folder)
    if found is None:
        files.write(folder / SETTINGS_FILE, SETTINGS.dump_json(settings))
    elif found != settings:
        raise WorkloadError(
            f"{folder / SETTINGS_FILE}: holds images of {found}, not of {settings}",
            hint="remove the folder, or name another",
        )


def _categories(path: Path, n_classes: int, workers: int, progress: Progress) -> list[Category]:
    """Search until there are ``n_classes``; the table keeps what was found."""
    n_draws, known = read_table(path)
    found: list[Category] = []
    for batch in search(known, n_draws=n_draws, workers=workers):
        found += batch.found
        if batch.n_draws > n_draws:
            write_table(path, found, n_draws=batch.n_draws)
        progress(min(len(found), n_classes), n_classes, "categories")
        if len(found) >= n_classes:
            break
    return found[:n_classes]


def _make_class(folder: Path, settings: RenderSettings, job: tuple[int, Category]) -> None:
    """Write both shards of a class; the training shard, written last, says that it is done."""
    number, category = job
    drawn = list(drawings(number, category.maps, category.shares, settings))
    _write(_shard(folder, "val", number), _validation(number, drawn, settings), number)
    _write(_shard(folder, "train", number), _training(number, drawn, settings), number)


def _training(number: int, drawn: Iterable[Drawing], settings: RenderSettings) -> Iterator[Sample]:
    for variation, instance, bits in drawn:
        if instance < settings.instances:
            for flip, image in enumerate(flipped(bits)):
                yield f"{number:05d}_{variation:02d}_count_{instance}_flip{flip}", image


def _validation(number: int, drawn: Iterable[Drawing], settings: RenderSettings) -> Iterator[Sample]:
    for variation, instance, bits in drawn:
        if instance == settings.instances:
            yield f"{number:05d}_{variation:02d}_count_{instance}_flip0", bits


def _shard(folder: Path, part: str, number: int) -> Path:
    return folder / f"{part}-{number:05d}.tar"


def _write(path: Path, samples: Iterable[Sample], number: int) -> None:
    """Write a shard whole or not at all: for each sample KEY.png and KEY.cls, the class as text."""
    with files.writing(path) as draft, tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as shard:
        for key, bits in samples:
            for name, data in ((f"{key}.png", _png(bits)), (f"{key}.cls", str(number).encode())):
                member = tarfile.TarInfo(name)  # of no time and no owner: the same bytes wherever it is made
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))


def _png(bits: Bits) -> bytes:
    """A PNG of one bit per pixel: black, or the published grey."""
    from PIL import Image

    image = Image.fromarray(bits.astype("uint8"), mode="P")
    image.putpalette([0, 0, 0, GREY, GREY, GREY])
    data = io.BytesIO()
    image.save(data, "PNG", bits=1)
    return data.getvalue()
