"""The logs that the authors of KAKURENBO published, where they are at hand; no copy of them is in this project."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import kbench as package

LOGS = Path(package.__file__).parents[2] / "shared" / "data" / "published-logs"
LAST = {  # top-1 of each run after its last epoch, two decimals
    "deit-tiny-cifar10.baseline": "95.86",
    "deit-tiny-cifar10.baseline-ep80-2": "88.59",
    "deit-tiny-cifar10.forget": "95.85",
    "deit-tiny-cifar10.iswr": "88.18",
    "deit-tiny-cifar10.kakurenbo-20": "95.28",
    "deit-tiny-cifar10.kakurenbo-30": "95.03",
    "deit-tiny-cifar10.sb": "93.59",
    "deit-tiny-cifar100.baseline": "79.69",
    "deit-tiny-cifar100.baseline-ep80-2": "67.81",
    "deit-tiny-cifar100.forget": "79.95",
    "deit-tiny-cifar100.iswr": "66.70",
    "deit-tiny-cifar100.kakurenbo-20": "79.35",
    "deit-tiny-cifar100.kakurenbo-30": "78.26",
    "deit-tiny-cifar100.sb": "76.98",
}
pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason="the published logs are not at hand")


def test_the_published_logs_say_what_they_say(kbench: Callable[..., object]) -> None:
    chart = kbench("import", "wandb-csv", str(LOGS / "wandblogs-finetune-acc.csv"))
    assert chart.returncode == 0, chart.stderr
    told = {line.split(".s0.")[0]: line for line in chart.stdout.splitlines()}
    assert {name: line.split("last top-1 ")[1].split(" %")[0] for name, line in told.items()} == LAST
    partial = {name for name, line in told.items() if "interrupted: its log ends after" in line}
    assert partial == {"deit-tiny-cifar10.iswr", "deit-tiny-cifar100.iswr"}

    forget = kbench("import", "kakurenbo-log", str(LOGS / "forget"))
    assert "80 epochs  training 531.2 min  hidden 0.00 % (79 epochs told)" in forget.stdout

    words = " ".join(kbench("compare", "kakurenbo", "--published").stdout.split())
    assert (
        "the printed baseline, 95.03, is not the last accuracy of baseline's run (95.86), nor of baseline-ep80-2's "
        "run (88.59), but equals that of kakurenbo-30's run"
    ) in words
    assert "forget's is -0.01, not +0.82; sb's is -2.27, not -1.44; kakurenbo's is -0.58, not +0.25" in words
    assert (
        "by its log it hid nothing (79 of 80 epochs tell), and trained as a baseline does; it took 531 minutes" in words
    )

    cells = json.loads(kbench("compare", "kakurenbo", "--published", "--json").stdout)["audit"]
    verdicts = {(cell["pair"], cell["strategy"]): cell["verdict"] for cell in cells}
    assert [key for key, verdict in verdicts.items() if verdict == "contradicted"] == [
        ("deit-tiny-cifar10", "baseline")
    ]
    assert verdicts["deit-tiny-cifar100", "baseline"] == "supported"
    assert verdicts["deit-tiny-cifar10", "iswr"] == verdicts["deit-tiny-cifar100", "iswr"] == "undecided"
