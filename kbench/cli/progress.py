"""What a person sees while runs go on: a table that redraws on a terminal, a line per run in a pipe."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kbench.cli.options import say
from kbench.experiment.status import RunStatus, StatusMonitor
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State
from kbench.records.schema import printed
from kbench.records.snapshot import RunSnapshot

if TYPE_CHECKING:
    from rich.table import Table

REDRAW_S = 1.0
OVER = (State.DONE, State.FAILED, State.CANCELLED, State.DAMAGED)


class Lines:
    """Says on stderr how each run ended, once; for pipes and log files."""

    def __init__(self, folder: ExperimentDir, runs: Sequence[RunDir], *, quiet: bool) -> None:
        self._outlook, self._quiet, self._n, self._looked = StatusMonitor(folder), quiet, len(runs), 0.0
        found = self._outlook.states(runs)
        self._open = [run for run, state in zip(runs, found, strict=True) if state not in OVER]

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self._look()

    def tick(self) -> None:
        """Look about once a second what has ended."""
        if time.monotonic() - self._looked >= REDRAW_S:
            self._look()
            self._looked = time.monotonic()

    def _look(self) -> None:
        self._outlook.refresh()
        for run in list(self._open):
            seen = run.read()
            status = self._outlook.status_of(seen)
            if status.state in OVER:
                self._open.remove(run)
                say(f"[{self._n - len(self._open)}/{self._n}] {line(seen, status)}", quiet=self._quiet)


class Live:
    """A table of strategies and seeds that redraws about once a second."""

    def __init__(self, folder: ExperimentDir, runs: Sequence[RunDir]) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._folder, self._runs, self._drawn, self._began = folder, list(runs), 0.0, time.monotonic()
        self._outlook = StatusMonitor(folder)
        self._specs = {run.run_id: run.read_spec() for run in runs}
        self._over: dict[str, str] = {}  # what stands in the cells of runs that have ended
        self._live = RichLive(console=Console(stderr=True), auto_refresh=False)

    def __enter__(self) -> "Live":
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self._table(), refresh=True)
        self._live.__exit__(None, None, None)

    def tick(self) -> None:
        """Redraw when it is time."""
        if time.monotonic() - self._drawn >= REDRAW_S:
            self._live.update(self._table(), refresh=True)
            self._drawn = time.monotonic()

    def _cells(self) -> dict[str, str]:
        """What is to be seen of each run, by run id; runs that have ended are not read again."""
        left = [run for run in self._runs if run.run_id not in self._over]
        seen = dict(self._over)
        self._outlook.refresh()
        for run in (folder.read() for folder in left):
            state = self._outlook.state_of(run)
            seen[run.run_id] = cell(run, state)
            if state in OVER:
                self._over[run.run_id] = seen[run.run_id]
        return seen

    def _table(self) -> "Table":
        from rich import box
        from rich.table import Table

        cells = self._cells()
        seeds = sorted({spec.seed for spec in self._specs.values()})
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        caption = f"{len(self._over)} of {len(self._runs)} runs ended, {minutes}:{seconds:02d} gone"
        table = Table(title=self._folder.path.name, caption=caption, box=box.SIMPLE_HEAD)
        table.add_column("pair / strategy")
        for seed in seeds:
            table.add_column(f"seed {seed}")
        rows: dict[tuple[str, str], dict[int, str]] = {}
        for run_id, spec in self._specs.items():
            rows.setdefault((spec.pair.name, spec.strategy.label), {})[spec.seed] = cells[run_id]
        for (pair, strategy), row in rows.items():
            table.add_row(f"{pair} / {strategy}", *(row.get(seed, "") for seed in seeds))
        return table


def cell(run: RunSnapshot, state: State) -> str:
    """A run in a few letters: where it stands, or its accuracy and time."""
    last = run.last
    if state is State.DONE and last:
        return f"{100 * last.val_acc1:.2f} %  {last.elapsed_s:.1f} s"
    if state is State.RUNNING:
        progress = f"{len(run.epochs)}/{run.n_epochs or '?'}"
        return f"epoch {progress}  {100 * last.val_acc1:.1f} %" if last else "starting"
    return {State.WAITING: "-", State.MISSING: "-"}.get(state, state.value)


def line(run: RunSnapshot, status: RunStatus) -> str:
    """A run in one line."""
    words, last = [run.run_id, status.state.value], run.last
    if last:
        words.append(f"epoch {len(run.epochs)}/{run.n_epochs or '?'}")
        words.append(f"{printed(run.provenance.metric)} {100 * last.val_acc1:.2f} %")
        words.append(f"{last.elapsed_s:.2f} s")
    left_s = _left_s(run) if status.state is State.RUNNING else None
    if left_s is not None:
        words.append(f"about {left_s:.0f} s of training left")
    if status.state is not State.DONE:
        words += [status.why] * bool(status.why)
    if status.state is State.WAITING:
        words += [f"job {status.job}"] * bool(status.job)
        words += [f"expected to start {status.starts_at}"] * bool(status.starts_at)
    return "  ".join(words)


def _left_s(run: RunSnapshot) -> float | None:
    """How long the epochs that are left will take [s]; None where that cannot be known."""
    if run.last is None or run.n_epochs is None:
        return None
    return run.last.elapsed_s / len(run.epochs) * (run.n_epochs - len(run.epochs))


def row(run: RunSnapshot, status: RunStatus) -> dict[str, Any]:
    """A run for a program."""
    last = run.last
    return {
        "run_id": run.run_id,
        "state": status.state,
        "why": status.why or None,
        "job_id": status.job,
        "starts_at": status.starts_at or None,
        "attempt": run.attempt,
        "epochs_done": len(run.epochs),
        "epochs": run.n_epochs,
        "final_acc1": last.val_acc1 if last else None,
        "elapsed_s": last.elapsed_s if last else None,
        "left_s": _left_s(run) if status.state is State.RUNNING else None,
        "error": run.failure.error if run.failure else None,
        "folder": str(run.path),
    }
