"""The table of strategies and seeds that kbench run redraws on a terminal while runs go on."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kbench.experiment.status import REDRAW_S, Progress, RunStatus, StatusMonitor
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State

if TYPE_CHECKING:
    from rich.table import Table

JUDGE_S = 10.0  # between two looks at which runs were disturbed, where none ended meanwhile
DISTURBED = "disturbed"


class LiveTable(Progress):
    """Progress as a table that redraws about once a second."""

    @contextmanager
    def following(self, experiment: ExperimentDir, runs: Sequence[RunDir]) -> Iterator[Callable[[], None]]:
        """Draw the table until the ``with`` block ends; yields what redraws it when it is time."""
        from rich.console import Console
        from rich.live import Live

        content, drawn_at = TableContent(experiment, runs), 0.0
        live = Live(console=Console(stderr=True), auto_refresh=False)

        def tick() -> None:
            nonlocal drawn_at
            if time.monotonic() - drawn_at >= REDRAW_S:
                live.update(content.table(), refresh=True)
                drawn_at = time.monotonic()

        with live:
            try:
                yield tick
            finally:
                live.update(content.table(), refresh=True)


class TableContent:
    """What the table shows of each run; those that have ended are not read again."""

    def __init__(self, experiment: ExperimentDir, runs: Sequence[RunDir]) -> None:
        self._name, self._n_runs, self._began = experiment.path.name, len(runs), time.monotonic()
        self._monitor = StatusMonitor(experiment)
        self._specs = {run.run_id: run.read_spec() for run in runs}
        self._seen: dict[str, RunStatus] = {}  # where each run stands, by run id
        self._judged_at = -JUDGE_S  # when it was last looked at which were disturbed
        self._left = {run.run_id: run for run in runs}  # that have not ended

    def table(self) -> "Table":
        """Read the runs and lay the table out."""
        from rich import box
        from rich.table import Table

        self._read()
        seeds = sorted({spec.seed for spec in self._specs.values()})
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        caption = f"{self._n_runs - len(self._left)} of {self._n_runs} runs ended, {minutes}:{seconds:02d} gone"
        if any(one.disturbed for one in self._seen.values()):
            caption += f"\n{DISTURBED}: others used its processors or its GPU; kbench status says what shows it"
        table = Table(title=self._name, caption=caption, box=box.SIMPLE_HEAD)
        table.add_column("pair / strategy")
        for seed in seeds:
            table.add_column(f"seed {seed}")
        rows: dict[tuple[str, str], dict[int, str]] = {}
        for run_id, spec in self._specs.items():
            rows.setdefault((spec.pair.name, spec.strategy.label), {})[spec.seed] = cell(self._seen[run_id])
        for (pair, strategy), row in rows.items():
            table.add_row(f"{pair} / {strategy}", *(row.get(seed, "") for seed in seeds))
        return table

    def _read(self) -> None:
        self._monitor.refresh()
        any_ended = False
        for status in self._monitor.statuses(self._left.values()):
            earlier = self._seen.get(status.run_id)
            self._seen[status.run_id] = replace(status, disturbed=earlier.disturbed if earlier else None)
            if status.state.is_over:
                del self._left[status.run_id]
                any_ended = True
        if any_ended or time.monotonic() - self._judged_at >= JUDGE_S:
            self._seen = {one.run_id: one for one in self._monitor.mark_disturbed(list(self._seen.values()))}
            self._judged_at = time.monotonic()


def cell(status: RunStatus) -> str:
    """A run in a few letters: where it stands, or its accuracy and time."""
    last, mark = status.run.last, f"  {DISTURBED}" if status.disturbed else ""
    if status.state is State.DONE and last:
        return f"{100 * last.val_acc1:.2f} %  {last.elapsed_s:.1f} s{mark}"
    if status.state is State.RUNNING:
        progress = f"{status.epochs_done}/{status.epochs or '?'}"
        return f"epoch {progress}  {100 * last.val_acc1:.1f} %{mark}" if last else "starting"
    return "-" if status.state in (State.WAITING, State.MISSING) else status.state.value
