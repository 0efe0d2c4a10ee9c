"""How fast the command line answers, beside an empty Python and the import of torch."""

import statistics
import subprocess
import sys
import time

TURNS = 7
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "kbench --help": ["-m", "kbench", "--help"],
    "python -c 'import torch'": ["-c", "import torch"],
}


def seconds(words: list[str]) -> float:
    """The wall time of one start."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the median of each, taken in turn, and its ratio to an empty Python."""
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(TURNS + 1):
        for name, words in COMMANDS.items():
            if turn:
                took[name].append(seconds(words))
            else:
                seconds(words)
    empty = statistics.median(took["python -c pass"])
    for name, values in took.items():
        middle = statistics.median(values)
        print(f"{name:<26}{middle:7.3f} s  {middle / empty:6.1f} times an empty Python")


if __name__ == "__main__":
    main()
