"""Controls that follow the finished run of another method: started in their order, refused in one sentence."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

LEADERS = {
    "kakurenbo": "{kakurenbo: {fraction: 0.4, confidence: 0.0, milestones: [], shares: [1.0]}",
    "sb": "{sb: {}",
}
FOLLOWING = """\
name: following
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {{epochs: 3, global_batch: 48, lr: {lr}, schedule: cosine, augment: shift}}
strategies:
  - {{random: {{like: {like}}}}}
  - {{budget: {{like: {like}, forward: {forward}}}}}
  - {leader}, label: baseline}}
seeds: [0]
"""


def written(folder: Path, leader: str, *, lr: float = 0.05, forward: str = "third", like: str = "baseline") -> Path:
    text = FOLLOWING.format(leader=LEADERS[leader], lr=f"{lr:.1e}", forward=forward, like=like)
    (folder / "following.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(("leader", "max_parallel", "forward"), [("kakurenbo", "1", "third"), ("sb", "2", "measured")])
def test_followers_do_and_pay_what_their_leader_did(
    leader: str, max_parallel: str, forward: str, tmp_path: Path, kbench, here
) -> None:
    written(tmp_path, leader, forward=forward)
    words = ["run", "following.yaml", "--max-parallel", max_parallel, "--set", "threads_per_rank=1"]
    done = kbench(*words)
    assert done.returncode == 0, done.stderr
    epochs = pd.read_parquet(tmp_path / "results" / "following" / "epochs.parquet")
    theirs, random, budget = (epochs[epochs.strategy == label] for label in ("baseline", "random", "budget"))

    assert random.n_trained.tolist() == theirs.n_trained.tolist()
    assert theirs.n_trained.min() < 1440 and random.n_scored.sum() == random.n_refreshed.sum() == 0
    price = 1 / 3
    if forward == "measured":
        price = theirs.forward_s.sum() / (theirs.forward_s + theirs.backward_s + theirs.update_s).sum()
    paid = (theirs.n_trained.sum() + price * (theirs.n_scored.sum() + theirs.n_refreshed.sum())) / 1440
    assert len(budget) == math.floor(paid + 0.5) and set(budget.n_trained) == {1440}

    ended = pd.read_parquet(tmp_path / "results" / "following" / "runs.parquet").set_index("strategy")
    assert (ended.started_at[["random", "budget"]] >= ended.ended_at["baseline"]).all()
    alone = here("run", "following.yaml", "--only", "random", "--dry-run", cwd=tmp_path)
    assert alone.code == 0  # its leader is done


def test_followers_of_a_run_that_failed_fail_with_it(tmp_path: Path, kbench) -> None:
    written(tmp_path, "sb", lr=1e30)
    done = kbench("run", "following.yaml", "--set", "threads_per_rank=1")
    assert done.returncode == 5 and "3 of 3 runs failed" in done.stderr and "Traceback" not in done.stderr
    runs = pd.read_parquet(tmp_path / "results" / "following" / "runs.parquet").set_index("strategy")
    leader = runs.run_id["baseline"]
    assert "not finite" in runs.error["baseline"]
    assert set(runs.error[["random", "budget"]]) == {f"it follows {leader}, which is failed"}


@pytest.mark.parametrize("only", ["random", "budget"])
def test_a_follower_alone_is_refused_in_one_sentence(only: str, tmp_path: Path, here: Callable) -> None:
    written(tmp_path, "sb")
    said = here("run", "following.yaml", "--only", only, cwd=tmp_path)
    error, hint = said.err.splitlines()
    assert (said.code, said.out) == (2, "")
    assert (
        error.startswith(f"error: digits-cnn-digits.{only}.s0.") and " follows digits-cnn-digits.baseline.s0." in error
    )
    assert (
        error.endswith(", which is neither done nor asked for") and hint == "hint: ask for both, or run the other first"
    )
    assert not (tmp_path / "results").exists()


def test_a_follower_and_its_leader_may_be_asked_for_together(tmp_path: Path, here: Callable) -> None:
    written(tmp_path, "sb")
    said = here("run", "following.yaml", "--only", "random", "--only", "baseline", "--dry-run", cwd=tmp_path)
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("like", "tells"),
    [
        ("budget", "must be the label of another strategy that follows none"),  # which follows another itself
        ("random", "must be the label of another strategy that follows none"),  # itself, or one in a ring
        ("baselin", "did you mean 'baseline'?"),
        ("nobody", "must be the label of another strategy that follows none"),
    ],
)
def test_chains_and_strangers_are_refused_at_their_place(like: str, tells: str, tmp_path: Path, here: Callable) -> None:
    written(tmp_path, "sb", like=like)
    said = here("check", "following.yaml", cwd=tmp_path)
    assert said.code == 2 and "following.yaml:7" in said.err and "strategies[0].random.like" in said.err
    assert tells in said.err and "Traceback" not in said.err
