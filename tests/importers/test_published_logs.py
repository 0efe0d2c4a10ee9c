"""The logs that the authors of KAKURENBO published, against their tables: what README shows of them.

No copy of them is in this project.  ``small`` are files of our own in their formats, with the same names and the same
last accuracies; the authors' own are read as well where they are at hand.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import kbench as package

CHECKOUT = Path(package.__file__).parents[1]
LOGS = CHECKOUT.parent / "shared" / "data" / "published-logs"
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
EPOCHS = 1000
PARTIAL = {"deit-tiny-cifar10.iswr": 80, "deit-tiny-cifar100.iswr": 99}  # epochs of the logs that end early


class Logs(NamedTuple):
    """Where a chart of fine-tuning runs lies, and a folder of a FORGET run."""

    chart: Path
    forget: Path


@pytest.fixture(params=["small", "authors"])
def logs(
    request: pytest.FixtureRequest,
    chart: Callable[..., Path],
    kakurenbo_folder: Callable[..., Path],
    author_run: Callable[..., str],
) -> Logs:
    if request.param == "authors":
        if not LOGS.is_dir():
            pytest.skip("the published logs are not at hand")
        return Logs(LOGS / "wandblogs-finetune-acc.csv", LOGS / "forget")
    runs = {}
    for name, last in LAST.items():
        pair, strategy = name.split(".")
        n = PARTIAL.get(name, EPOCHS)
        runs[author_run(strategy, pair.rpartition("-")[2])] = [
            round(float(last) * (1 + epoch / n) / (2 - 1 / n), 4) for epoch in range(n)
        ]
    forget = kakurenbo_folder("lagfix", [60 * 531.2 / 80] * 80, shares=[0.0] * 80)
    return Logs(chart(runs, name="wandblogs-finetune-acc.csv"), forget)


def test_the_published_logs_say_what_they_say(kbench: Callable[..., Any], logs: Logs) -> None:
    chart = kbench("import", "wandb-csv", str(logs.chart))
    assert chart.returncode == 0, chart.stderr
    told = {line.split(".s0.")[0]: line for line in chart.stdout.splitlines()}
    assert {name: line.split("last top-1 ")[1].split(" %")[0] for name, line in told.items()} == LAST
    assert {name for name, line in told.items() if "interrupted: its log ends after" in line} == set(PARTIAL)

    forget = kbench("import", "kakurenbo-log", str(logs.forget))
    assert "80 epochs  training 531.2 min  hidden 0.00 % (79 epochs told)" in forget.stdout

    printed = kbench("compare", "kakurenbo", "--published").stdout
    words = " ".join(printed.split())
    assert (
        "the printed baseline, 95.03, is not the last accuracy of baseline's run (95.86), nor of baseline-ep80-2's "
        "run (88.59), but equals that of kakurenbo-30's run"
    ) in words
    assert "forget's is -0.01, not +0.82; sb's is -2.27, not -1.44; kakurenbo's is -0.58, not +0.25" in words
    assert (
        "by its log it hid nothing (79 of 80 epochs tell), and trained as a baseline does; it took 531 minutes" in words
    )
    table, *warnings = shown_in_readme()
    assert table in printed
    assert len(warnings) == 2 and all(" ".join(warning.split()) in words for warning in warnings)

    cells = json.loads(kbench("compare", "kakurenbo", "--published", "--json").stdout)["audit"]
    verdicts = {(cell["pair"], cell["strategy"]): cell["verdict"] for cell in cells}
    assert [key for key, verdict in verdicts.items() if verdict == "contradicted"] == [
        ("deit-tiny-cifar10", "baseline")
    ]
    assert verdicts["deit-tiny-cifar100", "baseline"] == "supported"
    assert verdicts["deit-tiny-cifar10", "iswr"] == verdicts["deit-tiny-cifar100", "iswr"] == "undecided"


def shown_in_readme() -> list[str]:
    """The table that README shows of these logs, and the warnings below it."""
    text = (CHECKOUT / "README.md").read_text()
    begin = text.index("kakurenbo, Table 3, CIFAR-10, deit-tiny-cifar10: final accuracy")
    title, table, warnings = text[begin : text.index("\n```", begin)].split("\n\n")
    return [f"{title}\n\n{table}", *(f"warning:{warning}" for warning in warnings.split("warning:")[1:])]
