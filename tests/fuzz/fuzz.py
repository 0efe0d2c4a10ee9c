"""Try new examples of every property in test_fuzz.py until the time is up: ``make fuzz MIN=10``.

What fails is printed by hypothesis as the smallest example; its file belongs into ``corpus/`` when it is mended.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).with_name("test_fuzz.py")
EXAMPLES = 100  # of each property in a round
COUNT = re.compile(r"(\d+) passing(?: examples)?, (\d+) failing")


def main(minutes: float) -> int:
    """Run rounds of new examples; returns how many of them failed."""
    end, n_rounds, n_failed, n_examples = time.monotonic() + 60 * minutes, 0, 0, 0
    while time.monotonic() < end:
        seed = time.time_ns() % 2**32
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:xdist",
                "--hypothesis-show-statistics",
                f"--hypothesis-seed={seed}",
                str(TESTS),
            ],
            env=os.environ | {"KBENCH_FUZZ_EXAMPLES": str(EXAMPLES)},
            capture_output=True,
            text=True,
        )
        n_rounds, n_failed = n_rounds + 1, n_failed + bool(done.returncode)
        n_examples += sum(int(found[1]) + int(found[2]) for found in COUNT.finditer(done.stdout))
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n")
        print(f"{n_examples:,} examples in {n_rounds} rounds, {n_failed} of them failed; last seed {seed}", flush=True)
    return n_failed


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]))))
