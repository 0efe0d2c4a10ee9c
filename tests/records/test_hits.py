"""The file of hits: a bit for each sample, read back as it was, refused where it is damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from kbench.errors import ResultsError
from kbench.records.hits import Hits


@pytest.mark.parametrize("n", [1, 7, 8, 9, 359, 10_000])
def test_hits_are_read_as_they_were_written(n: int, tmp_path: Path) -> None:
    hits = (np.random.default_rng(n).random(n) < 0.9).astype(np.uint8)
    Hits.of(hits, attempt=2).write(tmp_path)
    found = Hits.read(tmp_path)
    assert found and (found.unpacked() == hits).all()
    assert (found.attempt, found.n_samples, found.n_hits) == (2, n, hits.sum())
    assert len(found.bits) <= n / 6 + 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_samples": 20}, "16 bits are not those of 20 samples"),
        ({"n_hits": 3}, "the bits are not 3 hits of 9 samples"),
        ({"bits": "//8="}, "the bits are not 9 hits of 9 samples"),  # bits behind the last sample
        ({"bits": "/4A"}, "padding"),
        ({"bits": None}, "string"),
        ({"n_samples": 0}, "greater than or equal to 1"),
        ({"schema_version": 99}, "a newer kbench wrote it"),
    ],
)
def test_damaged_hits_are_refused_with_what_is_wrong(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    Hits.of(np.ones(9, dtype=np.uint8), attempt=1).write(tmp_path)
    path = tmp_path / Hits.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ResultsError, match=said):
        Hits.read(tmp_path)


def test_a_run_without_hits_has_none(tmp_path: Path) -> None:
    assert Hits.read(tmp_path) is None
