"""Plan a calibration: the baseline of an experiment against itself, as an experiment of its own."""

import json
from dataclasses import replace
from typing import NamedTuple

from kbench.experiment.check import checked_plan
from kbench.experiment.plan import Plan, Request, make_plan

AGAIN = "-again"  # ends the label of the second run of a seed


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
        f"name={spec.name}-calibration",
        f"strategies={json.dumps(strategies)}",
        f"seeds={json.dumps(list(range(n_seeds)))}",
    )
    plan = checked_plan(replace(request, settings=(*request.settings, *settings)))
    return CalibrationPlan(spec.name, plan, twins)
