"""The proof for GPUs is tried on a CPU: it goes on after a failure, and claims nothing of a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).with_name("proof.py")


def prove(out: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROOF), str(out), "--small", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, check=False)


@pytest.mark.trains
def test_sections_are_tried_whatever_became_of_others_and_a_cpu_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photographs").write_text("no folder", encoding="utf-8")  # for images to lie in
    chosen = ("versions", "input", "loop", "shapes", "NCCL", "Fashion-MNIST")
    done = prove(tmp_path / "out", "--device", "cpu", *(word for name in chosen for word in ("--only", name)))
    assert done.returncode == 1, done.stdout + done.stderr
    rows = json.loads((tmp_path / "out" / "proof.json").read_text(encoding="utf-8"))["rows"]
    assert [row["section"] for row in rows if row["verdict"] == "failed"] == ["input"]
    assert {row["section"] for row in rows} == set(chosen) and not any(
        row["verdict"] in ("ok", "not ok") for row in rows
    )
    table = (tmp_path / "out" / "proof.md").read_text(encoding="utf-8")
    assert all(f"| {row['section']} | {row['what']} | {row['value']} |" in table for row in rows)
    found = {row["what"]: row["value"] for row in rows}
    assert float(found["eager: kbench / a plain loop"]) > 0
    assert found["SB: shapes that came first on the clock"] == "none"


def test_without_a_device_it_says_how_to_try_it(tmp_path: Path) -> None:
    done = prove(tmp_path, "--only", "versions")
    if done.returncode == 0:
        pytest.skip("needs a machine without a GPU")
    assert done.returncode == 2 and "--device cpu --small tries the script" in done.stderr
