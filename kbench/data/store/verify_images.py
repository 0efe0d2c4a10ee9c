"""Whether the images of an index can be decoded, all of them, by several processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from kbench.data.image_reader import ImageReader
from kbench.data.store import index
from kbench.errors import WorkloadError

CHUNK = 500  # samples that a process takes at a time
ENOUGH = 20  # sentences


def damaged(place: Path, parts: tuple[str, ...], *, workers: int, tell: Callable[[str], None]) -> list[str]:
    """Sentences: samples that cannot be decoded in full, the first twenty.

    A JPEG whose bytes were changed without changing its structure decodes to other pixels, and is not found.
    """
    return [sentence for part in parts for sentence in islice(_damaged(place, part, workers, tell), ENOUGH)]


def _damaged(place: Path, part: str, workers: int, tell: Callable[[str], None]) -> Iterator[str]:
    n = len(index.read(place, part))
    starts, done = range(0, n, CHUNK), 0
    if workers <= 1 or n <= CHUNK:
        found = map(partial(_chunk, place, part), starts)
        yield from (sentence for sentences in found for sentence in sentences)
        return
    with ProcessPoolExecutor(workers) as pool:
        for sentences in pool.map(partial(_chunk, place, part), starts):
            yield from sentences
            done += CHUNK
            tell(f"{part}: {min(done, n):,} of {n:,} samples decoded")


def _chunk(place: Path, part: str, start: int) -> list[str]:
    pictures = ImageReader(place, index.read(place, part), size=0)
    found = []
    for sample in range(start, min(start + CHUNK, len(pictures))):
        try:
            pictures.image(sample)
        except WorkloadError as error:
            found.append(error.message)
    return found
