"""A calibration trains the baseline of an experiment against itself, and keeps what it found."""

import json
from pathlib import Path

import pytest

import kbench
from kbench.errors import ConfigError, ResultsError
from kbench.experiment.calibrate import calibrated_spreads, calibration_plan
from kbench.experiment.plan import Request, make_plan
from kbench.records.calibration import Calibration

TINY = """\
name: tiny
pairs: [{model: digits-cnn, dataset: digits, recipe: {epochs: 1, global_batch: 48, lr: 0.05}}]
strategies: [baseline, random: {fraction: 0.3}]
"""


def test_the_plan_is_the_baseline_twice_for_every_seed(tmp_path: Path) -> None:
    made_for, plan, twins = calibration_plan(Request(experiment="quick", results=tmp_path, launcher="local"), n_seeds=4)
    assert made_for == "quick" and plan.name == "quick-calibration" and twins == ("baseline", "baseline-again")
    assert [(run.strategy.label, run.seed) for run in plan.runs] == [(label, s) for label in twins for s in range(4)]
    assert len({run.match_key for run in plan.runs}) == 4 and {run.strategy.name for run in plan.runs} == {"baseline"}
    own, again = (json.dumps([run.content for run in plan.runs if run.strategy.label == label]) for label in twins)
    assert own == again


def test_a_calibration_is_measured_kept_and_not_trained_twice(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    file, settings = tmp_path / "tiny.yaml", ["threads_per_rank=1"]
    found = kbench.calibrate(file, seeds=2, settings=settings, results=tmp_path)
    assert found and found.experiment == "tiny"
    (spread,) = found.spreads
    assert spread.n_seeds == 2 and spread.epochs == 1 and spread.run_s > 0 and spread.acc_sd is not None
    assert Calibration.read(tmp_path / "tiny-calibration") == found
    again = kbench.calibrate(file, seeds=2, settings=settings, results=tmp_path)
    assert again and again.spreads == found.spreads and again.made_at > found.made_at
    request = Request(experiment=str(file), settings=settings, results=tmp_path)
    assert [found.spread for found in calibrated_spreads(make_plan(request)).values()] == list(found.spreads)
    with pytest.raises(
        ResultsError, match="nothing to plan from.* the 2 seeds of the calibration end alike"
    ) as refused:
        kbench.plan(file, margin=2.0, settings=settings, results=tmp_path)
    assert refused.value.hint == f"kbench calibrate {file} --set {settings[0]} --results {tmp_path} --seeds 5"
    with pytest.raises(ResultsError, match="no calibration of this recipe"):
        kbench.plan(file, margin=2.0, settings=[*settings, "pairs.0.recipe.lr=0.06"], results=tmp_path)
    with pytest.raises(ConfigError, match="--margin: the file has no margin of digits-cnn-digits"):
        kbench.plan(file, power=0.9, results=tmp_path)
