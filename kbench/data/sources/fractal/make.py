"""FractalDB made here: a tar shard per class, whole or not at all, going on where it was left."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kbench import files
from kbench.data.sources.fractal import table
from kbench.data.sources.fractal.processes import in_order
from kbench.data.sources.fractal.render import GREY, Bits, Drawing, Look, drawings, flipped
from kbench.data.sources.fractal.search import Category, search
from kbench.errors import WorkloadError

Told = Callable[[int, int, str], None]  # how many of how many are done, and of what: "categories" or "classes"
Sample = tuple[str, Bits]  # its key, and where it is grey
LOOK = TypeAdapter(Look)
NOTE = "fractal.json"


def make(folder: Path, n_classes: int, *, look: Look | None = None, workers: int = 1, told: Told | None = None) -> None:
    """Make the shards of ``n_classes`` classes in ``folder``, train-00000.tar and val-00000.tar and so on.

    A training shard holds 25 variations x ``look.instances`` x 4 flips (1,000 images with the published values)
    named as published; a validation shard, which FractalDB has not, one more drawing of each variation.
    Called again it makes what is missing, with the same pixels.  Raises WorkloadError when the folder holds
    other images, or cannot be written.
    """
    look, told = look or Look(), told or _silent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, look)
        categories = _categories(folder / "categories.csv", n_classes, workers, told)
        missing = [i for i in range(n_classes) if not _shard(folder, "train", i).exists()]
        told(n_classes - len(missing), n_classes, "classes")
        jobs = ((i, categories[i]) for i in missing)
        for n, _ in enumerate(in_order(partial(_make_class, folder, look), jobs, workers=workers), start=1):
            told(n_classes - len(missing) + n, n_classes, "classes")
    except OSError as error:
        raise WorkloadError(
            f"{error.filename or folder}: cannot be written: {error.strerror}", hint="name another data root"
        ) from error


def _silent(done: int, of: int, what: str) -> None:
    """Tell nobody."""


def begun(folder: Path) -> Look | None:
    """How the images of a folder look that somebody began to make; None where nobody did.

    Raises WorkloadError when its fractal.json is damaged.
    """
    path = folder / NOTE
    if not path.exists():
        return None
    try:
        return LOOK.validate_json(path.read_bytes())
    except ValidationError as error:
        raise WorkloadError(f"{path}: is damaged", hint="remove the folder, and prepare the data set again") from error


def _claim(folder: Path, look: Look) -> None:
    """Note how the folder's images look; raises WorkloadError when they look otherwise."""
    there = begun(folder)
    if there is None:
        files.write(folder / NOTE, LOOK.dump_json(look))
    elif there != look:
        raise WorkloadError(
            f"{folder / NOTE}: holds images of {there}, not of {look}", hint="remove the folder, or name another"
        )


def _categories(path: Path, n_classes: int, workers: int, told: Told) -> list[Category]:
    """Search until there are ``n_classes``; the table keeps what was found."""
    n_draws, known = table.read(path)
    found: list[Category] = []
    for batch in search(known, n_draws=n_draws, workers=workers):
        found += batch.found
        if batch.n_draws > n_draws:
            table.write(path, found, n_draws=batch.n_draws)
        told(min(len(found), n_classes), n_classes, "categories")
        if len(found) >= n_classes:
            break
    return found[:n_classes]


def _make_class(folder: Path, look: Look, job: tuple[int, Category]) -> None:
    """Write both shards of a class; the training shard, written last, says that it is done."""
    number, category = job
    drawn = list(drawings(number, category.maps, category.shares, look))
    _write(_shard(folder, "val", number), _validation(number, drawn, look), number)
    _write(_shard(folder, "train", number), _training(number, drawn, look), number)


def _training(number: int, drawn: Iterable[Drawing], look: Look) -> Iterator[Sample]:
    for variation, instance, bits in drawn:
        if instance < look.instances:
            for flip, image in enumerate(flipped(bits)):
                yield f"{number:05d}_{variation:02d}_count_{instance}_flip{flip}", image


def _validation(number: int, drawn: Iterable[Drawing], look: Look) -> Iterator[Sample]:
    for variation, instance, bits in drawn:
        if instance == look.instances:
            yield f"{number:05d}_{variation:02d}_count_{instance}_flip0", bits


def _shard(folder: Path, part: str, number: int) -> Path:
    return folder / f"{part}-{number:05d}.tar"


def _write(path: Path, samples: Iterable[Sample], number: int) -> None:
    """Write a shard whole or not at all: for each sample KEY.png and KEY.cls, the class as text."""
    with files.writing(path) as draft, tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as shard:
        for key, bits in samples:
            for name, data in ((f"{key}.png", _png(bits)), (f"{key}.cls", str(number).encode())):
                member = tarfile.TarInfo(name)  # of no time and no owner: the same bytes whoever makes it
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
