"""The list of checks: what a method must keep to, in the order in which it is told."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kbench.conformance.contract_rules import Finding
from kbench.conformance.parameters import (
    BEYOND_FLOAT32,
    MANY,
    id_precision_violation,
    parameter_violation,
    phase_violation,
    plan_agreement_violation,
)
from kbench.conformance.ranks import Ended
from kbench.conformance.short_training import Case, as_rank_0
from kbench.errors import KBenchError
from kbench.records.schema import EpochRecord

Answer = Finding | str | None  # broken; why it could not be checked; kept
ROUNDING = 1e-5  # relative: what another order of the same sums may do to a loss in the first epoch
ENDED = "its training ended early"
SAME_PLAN = "the plan of epoch"  # how the loop begins when ranks plan differently


@dataclass(frozen=True)
class Check:
    """One promise and who looks whether it is kept."""

    name: str
    promise: str
    look: Callable[[Case], Answer]
    last: bool = False  # slow, and of no use while anything else is broken


@dataclass(frozen=True)
class Verdict:
    """What became of one check; ``finding`` where it is broken, ``reason`` where it could not be made."""

    check: Check
    finding: Finding | None = None
    reason: str = ""

    @property
    def state(self) -> Literal["ok", "broken", "not checked"]:
        if self.finding:
            return "broken"
        return "not checked" if self.reason else "ok"


def examine(case: Case) -> Iterator[Verdict]:
    """Make every check; the slow ones only where all others are kept."""
    broken = False
    for check in CHECKS:
        answer = "mend what is broken first" if check.last and broken else check.look(case)
        broken = broken or isinstance(answer, Finding)
        yield Verdict(check, answer) if isinstance(answer, Finding) else Verdict(check, reason=answer or "")


def parameters(case: Case) -> Answer:
    """Look whether nonsense is refused."""
    return parameter_violation(case.name, case.params)


def phases(case: Case) -> Answer:
    """Look at the phases of recipes of several lengths."""
    if "phases" in case.seen.findings:
        return case.seen.findings["phases"]
    with as_rank_0():
        return phase_violation(case.make())


def lived(name: str) -> Callable[[Case], Answer]:
    """Look for ``name`` among what was seen in a short training."""

    def look(case: Case) -> Answer:
        if name in case.seen.findings:
            return case.seen.findings[name]
        if name == "memory" and "instances" in case.seen.findings:
            return "it decides otherwise every time"
        return ENDED if case.seen.ended else None

    return look


def baseline_params(case: Case) -> Answer:
    """Look whether it trains like the baseline with its baseline_params."""
    if case.baseline_params is None:
        return "it declares no baseline_params"
    if case.seen.ended:
        return ENDED
    told = ", ".join(f"{key}={value!r}" for key, value in case.baseline_params.items())
    try:
        ours, theirs = case.baseline_params_training, case.baseline_training
    except Exception as error:
        words = error.message if isinstance(error, KBenchError) else f"{type(error).__name__}: {error}"
        return Finding(
            check="baseline-params",
            what=f"it does not train: {words}",
            where=told,
            do="mend it, or baseline_params = None",
        )
    do = "make it do nothing with these parameters, or declare others"
    if len(ours) != len(theirs):
        what = f"it trains {len(ours)} epochs where the baseline trains {len(theirs)}"
        return Finding(check="baseline-params", what=what, where=told, do=do)
    for ours_then, theirs_then in zip(ours, theirs, strict=True):
        what = _difference(ours_then, theirs_then)
        if what:
            return Finding(check="baseline-params", what=what, where=f"{told}, epoch {ours_then.epoch}", do=do)
    return None


def _difference(ours: EpochRecord, theirs: EpochRecord) -> str:
    for key in ("n_trained", "n_hidden", "n_dropped"):
        if getattr(ours, key) != getattr(theirs, key):
            return f"{key} is {getattr(ours, key)} where the baseline's is {getattr(theirs, key)}"
    for what, a, b in (
        ("learning rate", ours.lr * ours.lr_scale, theirs.lr * theirs.lr_scale),
        ("training loss", ours.train_loss, theirs.train_loss),
        ("validation loss", ours.val_loss or math.nan, theirs.val_loss or math.nan),
    ):
        if not math.isclose(a, b, rel_tol=ROUNDING * 10 ** min(ours.epoch, 2)):  # training amplifies it
            return f"the {what} is {a:.6g} where the baseline's is {b:.6g}"
    return ""


def ids(case: Case) -> Answer:
    """Look at plans of many samples."""
    if case.seen.ended:
        return ENDED
    return _of_ids(lambda: next(filter(None, (id_precision_violation(case.make, n) for n in MANY)), None))


def ids_beyond_float32(case: Case) -> Answer:
    """Look at one plan of more samples than float32 can count."""
    return _of_ids(lambda: plan_agreement_violation(case.make, BEYOND_FLOAT32))


def _of_ids(look: Callable[[], Finding | None]) -> Finding | None:
    with as_rank_0():
        try:
            return look()
        except Exception as error:
            what = f"plan raised {type(error).__name__}: {error}"
            return Finding(check="ids", what=what, where="many samples", do="plan for any number of samples")


def same_plan(case: Case) -> Answer:
    """Look whether real ranks agreed on their plans."""
    several = [ranks for ranks in case.ranks if ranks > 1]
    for ranks in several:
        trial = case.trial(ranks)
        if trial.error and trial.error.startswith(SAME_PLAN):
            return _of_ranks("same-plan", trial, ranks)
    return None if several else "more than one rank was not asked for"


def ranks(case: Case) -> Answer:
    """Look how runs on real ranks ended, if not by differing plans."""
    for size in case.ranks:
        trial = case.trial(size)
        if trial.error and not trial.error.startswith(SAME_PLAN):
            return _of_ranks("ranks", trial, size)
        if trial.error:
            return "its ranks plan differently"
    return None


def _of_ranks(check: str, trial: Ended, size: int) -> Finding:
    return Finding(check=check, what=trial.error or "", where=f"{size} rank{'s' * (size > 1)}", do=trial.hint)


CHECKS = (
    Check("parameters", "refuses parameters of a wrong type or out of range", parameters),
    Check("phases", "has well-formed phases, the last of which counts", phases),
    Check("life", "lives through a short training", lived("life")),
    Check("plans", "plans ids of the data set, finite weights and at least one full batch", lived("plans")),
    Check("choices", "selects with one weight per candidate, a Resample or None", lived("choices")),
    Check("statistics", "leaves statistics and batches as they were shown", lived("statistics")),
    Check("streams", "leaves the random streams of others alone", lived("streams")),
    Check("model", "leaves weights and BatchNorm untouched", lived("model")),
    Check("instances", "decides the same in a second instance", lived("instances")),
    Check("memory", "decides the same from what a checkpoint holds", lived("memory")),
    Check("baseline-params", "trains like the baseline when told to do nothing", baseline_params),
    Check("ids", "keeps sample ids whole", ids),
    Check("ids-beyond-2^24", "keeps sample ids whole beyond what float32 counts", ids_beyond_float32, last=True),
    Check("same-plan", "makes the same plan on every rank", same_plan, last=True),
    Check("ranks", "trains on real ranks, and ends with equal weights", ranks, last=True),
)
