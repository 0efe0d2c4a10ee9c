"""What a subset was chosen with is charged, and plans see the labels of the data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kbench.data.loader import Arrays
from kbench.engine.loop import Run
from kbench.strategies import sample_list


def test_what_choosing_took_is_on_the_clock_of_the_first_epoch_and_in_no_measurement(
    tmp_path: Path, training_of: Callable[..., Any]
) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.arange(400))
    digest = sample_list.digest_of(path)
    records = training_of("subset", {"file": str(path), "digest": digest, "scoring_s": 100.0}).records
    assert [record.charged_s for record in records] == [100.0] + [0.0] * (len(records) - 1)
    assert 100 < records[0].train_s < 200 and records[0].elapsed_s == records[0].train_s
    assert records[0].cpu_share is None or records[0].cpu_share > 0.05


def test_labels_of_the_data_set_are_shown_to_a_plan(run_of: Callable[..., Run]) -> None:
    run = run_of()
    shown, train = run.store.view().label, run.workload.train
    assert shown is not None and isinstance(train, Arrays) and torch.equal(shown, train.y)
