"""What a person sees while runs go on: a table that redraws on a terminal, a line per run in a pipe."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kbench.cli.options import say
from kbench.launch.front import states
from kbench.launch.state import State
from kbench.records.folders import ExperimentDir, RunDir

if TYPE_CHECKING:
    from rich.table import Table

REDRAW_S = 1.0
OVER = (State.DONE, State.FAILED)


class Lines:
    """Says on stderr how each run ended, once; for pipes and log files."""

    def __init__(self, folder: ExperimentDir, runs: Sequence[RunDir], *, quiet: bool) -> None:
        self._folder, self._quiet, self._n, self._looked = folder, quiet, len(runs), 0.0
        self._open = [run for run, state in zip(runs, states(folder, runs), strict=True) if state not in OVER]

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
        found = states(self._folder, self._open)
        for run, state in list(zip(self._open, found, strict=True)):
            if state in OVER:
                self._open.remove(run)
                say(f"[{self._n - len(self._open)}/{self._n}] {line(run, state)}", quiet=self._quiet)


class Live:
    """A table of strategies and seeds that redraws about once a second."""

    def __init__(self, folder: ExperimentDir, runs: Sequence[RunDir]) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._folder, self._runs, self._drawn, self._began = folder, list(runs), 0.0, time.monotonic()
        self._specs = {run.run_id: run.spec for run in runs}
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
        for run, state in zip(left, states(self._folder, left), strict=True):
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


def cell(run: RunDir, state: State) -> str:
    """A run in a few letters: where it stands, or its accuracy and time."""
    records = run.epochs() if state in (State.RUNNING, State.DONE) else []
    if state is State.DONE and records:
        return f"{100 * records[-1].val_acc1:.2f} %  {records[-1].elapsed_s:.1f} s"
    if state is State.RUNNING:
        gone = f"{len(records)}/{run.n_epochs or '?'}"
        return f"epoch {gone}  {100 * records[-1].val_acc1:.1f} %" if records else "starting"
    return {State.WAITING: "-", State.MISSING: "-"}.get(state, state.value)


def line(run: RunDir, state: State) -> str:
    """A run in one line."""
    words = [run.run_id, state.value]
    records = run.epochs()
    if records:
        words.append(f"epoch {len(records)}/{run.n_epochs or '?'}")
        words.append(f"top-1 {100 * records[-1].val_acc1:.2f} %")
        words.append(f"{records[-1].elapsed_s:.2f} s")
    if run.failed:
        words.append(str(run.failed.get("error")))
    return "  ".join(words)


def row(run: RunDir, state: str) -> dict[str, Any]:
    """A run for a program."""
    records = run.epochs()
    return {
        "run_id": run.run_id,
        "state": state,
        "epochs_done": len(records),
        "epochs": run.n_epochs,
        "final_acc1": records[-1].val_acc1 if records else None,
        "elapsed_s": records[-1].elapsed_s if records else None,
        "error": run.failed.get("error"),
        "folder": str(run.path),
    }
