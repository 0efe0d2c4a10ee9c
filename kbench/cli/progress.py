"""What a person sees while runs go on: a table that redraws on a terminal, a line per run in a pipe."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
        self._folder, self._runs, self._quiet = folder, list(runs), quiet
        self._told: set[str] = {r.run_id for r, s in zip(runs, states(folder, runs), strict=True) if s in OVER}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.tick()

    def tick(self) -> None:
        """Report what has ended since the last time."""
        for run in self._runs:
            if run.run_id not in self._told and (run.done or run.failed):
                self._told.add(run.run_id)
                say(
                    f"[{len(self._told)}/{len(self._runs)}] {line(run, states(self._folder, [run])[0])}",
                    quiet=self._quiet,
                )


class Live:
    """A table of strategies and seeds that redraws about once a second."""

    def __init__(self, folder: ExperimentDir, runs: Sequence[RunDir]) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._folder, self._runs, self._drawn, self._began = folder, list(runs), 0.0, time.monotonic()
        self._specs = {run.run_id: run.spec for run in runs}
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

    def _table(self) -> "Table":
        from rich import box
        from rich.table import Table

        found = dict(zip((run.run_id for run in self._runs), states(self._folder, self._runs), strict=True))
        seeds = sorted({spec.seed for spec in self._specs.values()})
        over = sum(state in OVER for state in found.values())
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        caption = f"{over} of {len(found)} runs ended, {minutes}:{seconds:02d} gone"
        table = Table(title=self._folder.path.name, caption=caption, box=box.SIMPLE_HEAD)
        table.add_column("pair / strategy")
        for seed in seeds:
            table.add_column(f"seed {seed}")
        rows: dict[tuple[str, str], dict[int, str]] = {}
        for run in self._runs:
            spec = self._specs[run.run_id]
            row = rows.setdefault((spec.pair.name, spec.strategy.label), {})
            row[spec.seed] = cell(run, found[run.run_id])
        one_pair = len({pair for pair, _ in rows}) == 1
        for (pair, strategy), cells in rows.items():
            table.add_row(strategy if one_pair else f"{pair} / {strategy}", *(cells.get(s, "") for s in seeds))
        return table


def cell(run: RunDir, state: State) -> str:
    """A run in a few letters: where it stands, or its accuracy and time."""
    records = run.epochs() if state in (State.RUNNING, State.DONE) else []
    if state is State.DONE and records:
        return f"{100 * records[-1].val_acc1:.2f} %  {records[-1].elapsed_s:.1f} s"
    if state is State.RUNNING:
        gone = f"{len(records)}/{run.job.get('epochs', '?')}"
        return f"epoch {gone}  {100 * records[-1].val_acc1:.1f} %" if records else "starting"
    return {State.WAITING: "-", State.MISSING: "-"}.get(state, state.value)


def line(run: RunDir, state: State) -> str:
    """A run in one line."""
    words = [run.run_id, state.value]
    records = run.epochs()
    if records:
        words.append(f"epoch {len(records)}/{run.job.get('epochs', '?')}")
        words.append(f"top-1 {100 * records[-1].val_acc1:.2f} %")
        words.append(f"{records[-1].elapsed_s:.2f} s")
    if run.failed:
        words.append(str(run.failed.get("error")))
    return "  ".join(words)
