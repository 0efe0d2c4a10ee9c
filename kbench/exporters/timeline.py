"""When things happened in a run, as its own records tell; what they do not tell is None."""

from dataclasses import dataclass
from datetime import datetime

from kbench.records.run_files import Provenance
from kbench.records.schema import EpochRecord
from kbench.records.snapshot import RunSnapshot

Ms = float  # since 1970, to the microsecond
CLOCKS_S = 1.0  # what a span and its length, read from two clocks, may differ by


@dataclass(frozen=True)
class Span:
    """From when to when [ms]."""

    start: Ms
    stop: Ms


@dataclass(frozen=True)
class EpochMoments:
    """When an epoch was trained, and when it was evaluated."""

    training: Span
    evaluation: Span


@dataclass(frozen=True, kw_only=True)
class Moments:
    """A run's course [ms]."""

    init_start: Ms | None  # its first process began
    run_start: Ms
    staging: Span | None
    epochs: tuple[EpochMoments, ...]
    run_stop: Ms | None


def moments(run: RunSnapshot) -> Moments:
    """Put the records of a run with epochs in order of time.

    An epoch was evaluated as it ended (``ended_at``), for ``eval_s``; before, it was trained for ``train_s``.
    The run starts with the copying of its data, else when all was ready to train.  One that went on in a later
    attempt starts with its first epoch; what was before it is not on record.
    """
    epochs = tuple(_epoch(record) for record in run.epochs)
    made_by, end = run.provenance, run.done or run.failure
    began_at = made_by.staging_started_at or made_by.started_at
    known = [_ms(began_at), epochs[0].training.start]
    run_start = min(moment for moment in known if moment is not None)
    begun = _ms(_first_process(run))
    return Moments(
        init_start=begun if begun is not None and begun <= run_start else None,
        run_start=run_start,
        staging=_staging(made_by, before=epochs[0].training.start),
        epochs=epochs,
        run_stop=_ms(end.ended_at if end else None),
    )


def _staging(made_by: Provenance, *, before: Ms) -> Span | None:
    """When data was copied, once and ``before`` the first epoch; copies of several attempts are no span of time."""
    start, stop = _ms(made_by.staging_started_at), _ms(made_by.staging_stopped_at)
    if start is None or stop is None or stop > before:
        return None
    is_one = made_by.stage_s is None or abs((stop - start) / 1000 - made_by.stage_s) < CLOCKS_S
    return Span(start, stop) if is_one else None


def _first_process(run: RunSnapshot) -> datetime | None:
    """When the attempt's first process began: its own word, its job's, or, without a scheduler, its starter's."""
    begun = run.start.started_at if run.start else run.job.submitted_at if run.job else None
    return run.provenance.worker_started_at or begun


def _epoch(record: EpochRecord) -> EpochMoments:
    ended = record.ended_at.timestamp() * 1000
    trained = ended - 1000 * record.eval_s
    training = Span(round(trained - 1000 * record.train_s, 3), round(trained, 3))
    return EpochMoments(training, Span(training.stop, round(ended, 3)))


def _ms(moment: datetime | None) -> Ms | None:
    return round(moment.timestamp() * 1000, 3) if moment else None
