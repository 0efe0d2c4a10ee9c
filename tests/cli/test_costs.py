"""What is to be known before it costs: node-hours, and the refusal to go beyond."""

import json
import shutil
from pathlib import Path

SITE = """\
launcher: local
threads_per_rank: 1
time_limit: '01:00:00'
"""


def test_before_any_epoch_the_time_limit_is_the_bound(kbench, tmp_path: Path, small_folder: Path) -> None:
    shutil.copy(small_folder / "small.yaml", tmp_path)
    (tmp_path / "site.yaml").write_text(SITE)
    told = kbench("check", "small.yaml", "--site", "site.yaml", "--json")
    assert json.loads(told.stdout)["node_hours"] == 6.0, told.stderr
    assert "at most 6 by the time limit" in kbench("check", "small.yaml", "--site", "site.yaml").stdout
    refused = kbench("run", "small.yaml", "--site", "site.yaml", "--max-node-hours", "5")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --max-node-hours 5: node-hours: at most 6 by the time limit")
    assert not (tmp_path / "results").exists()


def test_nothing_is_guessed_where_nothing_is_known(kbench, tmp_path: Path, small_folder: Path) -> None:
    shutil.copy(small_folder / "small.yaml", tmp_path)
    refused = kbench("run", "small.yaml", "--max-node-hours", "1", "--launcher", "local")
    assert refused.returncode == 2 and "unknown before an epoch of each pair has been run" in refused.stderr


def test_earlier_epochs_of_the_pair_tell_what_a_new_seed_will_take(kbench, tmp_path: Path, small_folder: Path) -> None:
    shutil.copytree(small_folder, tmp_path, dirs_exist_ok=True)
    words = ("check", "small.yaml", "--launcher", "local", "--set", "seeds=[0, 1, 2]", "--json")
    hours = json.loads(kbench(*words).stdout)["node_hours"]
    runs = json.loads(kbench("status", "small", "--json").stdout)["runs"]
    mean_s = sum(run["elapsed_s"] for run in runs) / len(runs)
    assert 3 * mean_s / 3600 < hours < 6 * mean_s / 3600  # three runs, and their evaluation
    assert json.loads(kbench(*words[:-3], "--json").stdout)["node_hours"] == 0
