"""Logs as others write them, small, with numbers of our own."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbench.cli.app import main

HEADER = "RANK\t#EPOCH\tEPOCH\tIO\tSTAG\tFW\tBW\tWU\tACC\tLOG"  # one name less than the rows have fields
Write = Callable[..., Path]

PREFIX = "finetune_deit_tiny_{}_from_fdb3k_lr1.0e-3_epochs80_bs512_"
AUTHORS = {  # endings of the runs' names, as the authors of KAKURENBO chose them
    "baseline": "__80ps_noCut-mixup",
    "baseline-ep80-2": "Baseline_Ep80_2",
    "iswr": "noCut-mixup_wRfix_E73",
    "forget": "noCut-mixup_forgetlagfix",
    "sb": "noCut-mixup_sbfix_BETA1.0",
    "kakurenbo-20": "noCut-mixup_kakurenbo_F0.20",
    "kakurenbo-30": "noCut-mixup_kakurenbo_F0.30",
}


@pytest.fixture
def author_run() -> Callable[..., str]:
    """The name of a fine-tuning run in the chart that the authors exported: ``author_run("sb", "cifar10")``."""
    return lambda strategy, dataset="cifar10": PREFIX.format(dataset) + AUTHORS[strategy]


@pytest.fixture
def kakurenbo_folder(tmp_path: Path) -> Write:
    """A log folder: ``kakurenbo_folder("forget", seconds=[10, 11], shares=[0, 0])``."""

    def write(
        name: str,
        seconds: Sequence[float] = (),
        *,
        epochs: Sequence[int] = (),
        shares: Sequence[float] = (),
        accuracy: Sequence[float] = (),
        counts: Sequence[str] = (),
        last_column: bool = True,
    ) -> Path:
        folder = tmp_path / "logs" / name
        folder.mkdir(parents=True)
        if seconds:
            rest = "\t".join(["1.0000000000"] * (8 if last_column else 7))
            numbers = epochs or range(len(seconds))
            rows = [f"[0]\t{n}\t{s:.10f}\t{rest}" for n, s in zip(numbers, seconds, strict=True)]
            text = "".join(f"{HEADER}\n{row}\n" if row.startswith("[0]\t0\t") else f"{row}\n" for row in rows)
            (folder / "report_time.log").write_text(text)
        for file, values in (("fraction_per_epoch.log", shares), ("val_accuracy_per_epoch.log", accuracy)):
            if values:
                (folder / file).write_text("".join(f"{value:.10f}\n" for value in values))
        if counts:
            (folder / "loss_hist_per_epoch.log").write_text("".join(f"{line}\n" for line in counts))
        return folder

    return write


@pytest.fixture
def chart(tmp_path: Path) -> Write:
    """An exported chart: ``chart({"run a": [10.0, 20.0]})``; a shorter column has ended earlier."""

    def write(
        runs: Mapping[str, Sequence[float | str]],
        *,
        name: str = "chart.csv",
        axis: str = "epoch",
        metric: str = "eval_top1",
    ) -> Path:
        length = max(map(len, runs.values()))
        lines = [",".join([axis, *(f"{run} - {metric}" for run in runs)])]
        for epoch in range(length):
            cells = [str(values[epoch]) if epoch < len(values) else "" for values in runs.values()]
            lines.append(",".join([str(epoch), *cells]))
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def mlperf_log(tmp_path: Path) -> Write:
    """An MLPerf log: ``mlperf_log(("run_start", 0.0, None, {}), ...)`` of key, second, value, metadata."""

    def write(*events: tuple[str, float, object, Mapping[str, object]], name: str = "result_0.txt") -> Path:
        path = tmp_path / "site" / name
        path.parent.mkdir(exist_ok=True)
        lines = [
            ":::MLLOG " + json.dumps({"key": key, "time_ms": 1000 * second, "value": value, "metadata": metadata})
            for key, second, value, metadata in events
        ]
        path.write_text("a line of something else\n" + "".join(f"0: {line}\n" for line in lines))
        return path

    return write


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command line in an empty folder, within this process: the same, without starting Python again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KBENCH_RESULTS", raising=False)

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["kbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return call
