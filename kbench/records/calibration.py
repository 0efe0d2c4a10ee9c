"""What a machine can resolve: the spread of the baseline against itself, with the instruments that measured it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from kbench.records.run_files import RunFile


class Instruments(BaseModel):
    """What must be equal for a spread that was measured once to hold again; columns of ``runs.parquet``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    ranks: int
    device_name: str | None = None
    n_devices: int | None = None
    threads_per_rank: int | None = None
    max_parallel: int | None = None
    launcher: str | None = None
    spin: str | None = None
    in_turns: bool = False

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Instruments":
        """Those of a run, from its columns; NaN is not known."""
        known = {name: run[name] for name in cls.model_fields if name in run and run[name] == run[name]}
        return cls(**known, in_turns=run.get("pairing") == "turns")


class Spread(BaseModel):
    """How far runs of the baseline differ that differ in nothing, or in the seed only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair: str
    instruments: Instruments
    metric: str | None
    epochs: int  # of a run
    n_seeds: int
    n_disturbed: int  # runs that were disturbed, and are left out with their twins
    time_sd: float | None  # of the logarithm of the ratio of two runs of a seed; None: fewer than two seeds are left
    acc_sd: float | None  # of the best accuracy over seeds [fraction]
    final_sd: float | None = None  # of the final accuracy; None: fewer than two seeds, or an older kbench measured it
    run_s: float  # from the start of a run to its end, the mean [s]
    total_s: float | None = None  # training, evaluation and staging of a run, the mean; None: not known, or as above


class Calibration(RunFile):
    """``calibration.json`` in the folder of an experiment that holds the baseline against itself."""

    NAME = "calibration.json"
    REMEDY = "kbench calibrate makes it anew"

    experiment: str  # that it was made for
    made_at: datetime
    spreads: tuple[Spread, ...]  # one per pair


def calibrations(results: Path) -> Iterator[Calibration]:
    """Read the calibrations below a results folder, the newest first; what cannot be read is none."""
    found = [Calibration.read_if_whole(path.parent) for path in results.glob(f"*/{Calibration.NAME}")]
    yield from sorted((one for one in found if one), key=lambda one: one.made_at, reverse=True)


def spread_for(results: Path, run: Mapping[str, Any], n_epochs: int) -> tuple[Calibration, Spread] | None:
    """Find the newest spread that the instruments of a run measured, over as many epochs."""
    instruments = Instruments.of(run)
    for calibration in calibrations(results):
        for spread in calibration.spreads:
            if spread.instruments == instruments and spread.epochs == n_epochs:
                return calibration, spread
    return None
