"""Runs that were disturbed are marked where they are followed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbench.cli.live_table import cell
from kbench.config.run_spec import RunSpec
from kbench.experiment.status import RunStatus, StatusMonitor
from kbench.records.folders import ExperimentDir
from kbench.records.run_files import Provenance
from kbench.records.run_state import State
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot

ZEROS = "n_scored n_refreshed n_hidden n_dropped plan_s data_s backward_s update_s select_s refresh_s sync_s".split()


@pytest.fixture
def monitor(tmp_path: Path) -> StatusMonitor:
    return StatusMonitor(ExperimentDir(tmp_path))


def status(spec: RunSpec, seed: int, *, train_s: float, share: float | None, state: State = State.DONE) -> RunStatus:
    epoch = EpochRecord.model_validate(
        dict.fromkeys(ZEROS, 0)
        | {
            "attempt": 1, "phase": "train", "epoch": 0, "lr": 0.1, "lr_scale": 1.0, "n_samples": 10, "n_trained": 10,
            "train_loss": 1.0, "train_acc": 0.5, "val_loss": 1.0, "val_acc1": 0.9, "val_acc5": None,
            "train_s": train_s, "forward_s": train_s, "eval_s": 0.1, "elapsed_s": train_s, "cpu_s": 1.0,
            "cpu_share": share, "peak_mem_bytes": 1, "ended_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )  # fmt: skip
    snapshot = RunSnapshot(
        path=Path(f"iswr.s{seed}"), spec=spec.model_copy(update={"seed": seed}), job=None, start=None,
        provenance=Provenance(n_devices=0, threads_per_rank=2, epochs=3), done=None, failure=None, epochs=(epoch,),
    )  # fmt: skip
    return RunStatus(snapshot, state)


def test_a_run_with_a_small_share_of_its_processors_is_marked_in_every_view(
    monitor: StatusMonitor, run_spec: RunSpec
) -> None:
    times = ((574.5, 0.12), (3.4, 0.99), (3.7, 0.99))
    found = [status(run_spec, seed, train_s=train_s, share=share) for seed, (train_s, share) in enumerate(times)]
    slow, *others = monitor.mark_disturbed(found)
    evidence = "it had 12 % of its processors, they up to 99 %"
    assert slow.text.endswith(f"574.50 s  disturbed: {evidence}")
    assert slow.as_json()["disturbed"] == f"baseline s0 took 574.5 s, its other seeds 3.4 and 3.7; {evidence}"
    assert cell(slow) == "90.00 %  574.5 s  disturbed"
    assert [(cell(one), one.as_json()["disturbed"]) for one in others] == [
        ("90.00 %  3.4 s", None), ("90.00 %  3.7 s", None),
    ]  # fmt: skip


def test_a_run_is_marked_while_it_goes_on(monitor: StatusMonitor, run_spec: RunSpec) -> None:
    done = status(run_spec, 0, train_s=3.4, share=0.99)
    running = status(run_spec, 1, train_s=30.0, share=0.1, state=State.RUNNING)
    assert cell(monitor.mark_disturbed([done, running])[1]) == "epoch 1/3  90.0 %  disturbed"


def test_nothing_is_marked_where_no_share_is_known(monitor: StatusMonitor, run_spec: RunSpec) -> None:
    found = [status(run_spec, seed, train_s=train_s, share=None) for seed, train_s in enumerate((574.5, 3.4))]
    assert not any(one.disturbed for one in monitor.mark_disturbed(found))
