"""The timeline of a run: when it began, staged, trained and evaluated each epoch, and ended; None: not on record."""

from dataclasses import dataclass
from datetime import datetime

from kbench.records.run_files import Provenance
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot

Ms = float  # since 1970, to the microsecond
CLOCK_SKEW_S = 1.0  # what a span and its length, read from two clocks, may differ by


@dataclass(frozen=True)
class Span:
    """From when to when [ms]."""

    start: Ms
    stop: Ms


@dataclass(frozen=True)
class EpochSpans:
    """When an epoch was trained, and when it was evaluated."""

    training: Span
    evaluation: Span


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """When things happened in a run [ms since 1970]."""

    init_start: Ms | None  # its first process began
    run_start: Ms
    staging: Span | None
    epochs: tuple[EpochSpans, ...]
    run_stop: Ms | None


def timeline(run: RunSnapshot) -> Timeline:
    """The timeline of a run that has epochs.

    An epoch was evaluated as it ended (``ended_at``), for ``eval_s``; before, it was trained for ``train_s``.
    The run starts with the copying of its data, else when all was ready to train.  One that went on in a later
    attempt starts with its first epoch; what was before it is not on record.
    """
    epochs = tuple(_epoch(record) for record in run.epochs)
    provenance, end = run.provenance, run.done or run.failure
    began_at = provenance.staging_started_at or provenance.started_at
    known = [_ms(began_at), epochs[0].training.start]
    run_start = min(moment for moment in known if moment is not None)
    init_start = _ms(_first_process(run))
    return Timeline(
        init_start=init_start if init_start is not None and init_start <= run_start else None,
        run_start=run_start,
        staging=_staging(provenance, before=epochs[0].training.start),
        epochs=epochs,
        run_stop=_ms(end.ended_at if end else None),
    )


def _staging(provenance: Provenance, *, before: Ms) -> Span | None:
    """When data was copied, once and ``before`` the first epoch; copies of several attempts are no span of time."""
    start, stop = _ms(provenance.staging_started_at), _ms(provenance.staging_stopped_at)
    if start is None or stop is None or stop > before:
        return None
    is_one = provenance.stage_s is None or abs((stop - start) / 1000 - provenance.stage_s) < CLOCK_SKEW_S
    return Span(start, stop) if is_one else None


def _first_process(run: RunSnapshot) -> datetime | None:
    """When the attempt's first process began: as it, its job or, without a scheduler, its starter recorded."""
    started = run.start.started_at if run.start else run.job.submitted_at if run.job else None
    return run.provenance.worker_started_at or started


def _epoch(record: EpochRecord) -> EpochSpans:
    ended = record.ended_at.timestamp() * 1000
    trained = ended - 1000 * record.eval_s
    training = Span(round(trained - 1000 * record.train_s, 3), round(trained, 3))
    return EpochSpans(training, Span(training.stop, round(ended, 3)))


def _ms(moment: datetime | None) -> Ms | None:
    return round(moment.timestamp() * 1000, 3) if moment else None
