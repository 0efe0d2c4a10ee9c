"""The files in a .tar.gz, all of them in memory; for archives of some hundred megabytes."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path

from kbench.errors import WorkloadError


def contents(archive: Path) -> dict[str, bytes]:
    """The files by their names.  Raises WorkloadError for a damaged archive.

    It is unpacked to its last byte, as the checksum of gzip stands at the end, where tarfile does not look.
    """
    try:
        raw = gzip.decompress(archive.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            files = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar if member.isfile()}
            return {name: file.read() for name, file in files.items() if file}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise WorkloadError(f"{archive} is damaged: {error}", hint="get it again") from None
