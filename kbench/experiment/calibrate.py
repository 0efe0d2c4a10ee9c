"""Plan a calibration: the baseline of an experiment against itself, as an experiment of its own."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from kbench.experiment.check import checked_plan
from kbench.experiment.plan import Plan, Request, make_plan
from kbench.records.calibration import Calibration, Spread
from kbench.records.folders import ExperimentDir

AGAIN = "-again"  # ends the label of the second run of a seed
ENDING = "-calibration"  # ends the name of the experiment that is a calibration


class CalibrationPlan(NamedTuple):
    """What a calibration trains."""

    experiment: str  # that it is made for
    plan: Plan
    twins: tuple[str, str]  # the labels of the baseline and of the baseline again


def calibration_plan(request: Request, *, n_seeds: int) -> CalibrationPlan:
    """Plan ``n_seeds`` runs of the baseline of the requested experiment, each twice; nothing is started.

    Raises:
        KBenchError: As ``checked_plan`` does.
    """
    spec = make_plan(request).spec
    baseline = next(choice for choice in spec.strategies if choice.label == spec.baseline)
    twins = (baseline.label, f"{baseline.label}{AGAIN}")
    strategies = [{baseline.name: baseline.params, "label": label} for label in twins]
    settings = (
        f"name={spec.name}{ENDING}",
        f"strategies={json.dumps(strategies)}",
        f"seeds={json.dumps(list(range(n_seeds)))}",
    )
    plan = checked_plan(replace(request, settings=(*request.settings, *settings)))
    return CalibrationPlan(spec.name, plan, twins)


class CalibratedSpread(NamedTuple):
    """What a calibration measured on a pair."""

    calibration: Calibration
    spread: Spread


def calibrated_spreads(plan: Plan) -> Mapping[str, CalibratedSpread]:
    """Find what the calibration of a planned experiment measured, by pair, where it trained the same baseline."""
    folder = ExperimentDir(plan.request.results / f"{plan.name}{ENDING}")
    calibration = Calibration.read_if_whole(folder.path)
    baselines = {run.run_id: run.pair.name for run in plan.runs if run.strategy.label == plan.spec.baseline}
    alike = {pair for run_id, pair in baselines.items() if folder.run(run_id).path.is_dir()}
    spreads = calibration.spreads if calibration else ()
    return {each.pair: CalibratedSpread(calibration, each) for each in spreads if calibration and each.pair in alike}
