"""A recipe in the keys of MLPerf logs.

Names and meanings as in mlcommons/logging (mlperf_logging 4.1: mllog/constants.py, compliance_checker/hpc_3.0.0)
and as DeepCAM's reference logs them.
"""

from kbench.config.recipe import Recipe

Value = str | int | float | bool | list[float] | list[int]

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lamb": "LAMB"}
SCHEDULES = {"step": "multistep", "cosine": "cosine_annealing", "constant": "constant"}


def optimizer_keys(recipe: Recipe) -> dict[str, Value]:
    """The optimizer's settings; the learning rate under both names that benchmarks have for it."""
    found: dict[str, Value] = {
        "opt_name": OPTIMIZERS.get(recipe.optimizer, recipe.optimizer),
        "opt_lr": recipe.lr,
        "opt_base_learning_rate": recipe.lr,
        "opt_weight_decay": recipe.weight_decay,
    }
    if recipe.optimizer == "sgd":
        found["opt_momentum"] = recipe.momentum
    elif recipe.optimizer in OPTIMIZERS:  # one of one's own says of itself what it does
        found |= {"opt_betas": list(recipe.betas), "opt_eps": recipe.eps}
    if recipe.optimizer == "lamb":  # timm's, as kbench builds it
        found |= {"opt_bias_correction": True, "opt_grad_averaging": True}
    if recipe.max_grad_norm:
        found["opt_max_grad_norm"] = recipe.max_grad_norm
    return found


def scheduler_keys(recipe: Recipe) -> dict[str, Value]:
    """The schedule, as far as it is not counted in steps."""
    found: dict[str, Value] = {"scheduler_type": SCHEDULES.get(recipe.schedule, recipe.schedule)}
    if not recipe.warmup_from:  # DeepCAM's factor multiplies opt_lr; 1 is a ramp from 0 to it
        found["scheduler_lr_warmup_factor"] = 1.0
    if recipe.schedule == "step":
        found["scheduler_decay_rate"] = recipe.gamma
    if recipe.schedule == "cosine":
        found["scheduler_eta_min"] = recipe.min_lr
    return found


def step_keys(recipe: Recipe, *, steps_per_epoch: int) -> dict[str, Value]:
    """What the schedule counts in steps, for a run whose every epoch made as many.

    DeepCAM's reference counts milestones from the end of a warm-up, and without one drops a step earlier than it says
    (mlcommons/hpc @4952833, deepcam/src/deepCam/utils/schedulers.py); kbench counts from the beginning.
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    found: dict[str, Value] = {"scheduler_lr_warmup_steps": warmup}
    if recipe.schedule == "step":
        before = warmup or -1
        found["scheduler_milestones"] = [round(epoch * steps_per_epoch) - before for epoch in recipe.milestones]
    if recipe.schedule == "cosine" and not _cut_off(recipe):
        found["scheduler_t_max"] = round(recipe.epochs * steps_per_epoch) - warmup
    return found


def left_out(recipe: Recipe) -> list[str]:
    """What of a recipe these keys cannot say."""
    notes = []
    if recipe.warmup_from:
        share = f"{recipe.warmup_from:g} of the learning rate"
        notes.append(f"scheduler_lr_warmup_factor is left out: the warm-up begins at {share}")
    if _cut_off(recipe):
        notes.append("scheduler_t_max is left out: the cosine has begun when the warm-up ends")
    return notes


def _cut_off(recipe: Recipe) -> bool:
    """Whether a warm-up hides the beginning of a cosine."""
    return recipe.schedule == "cosine" and recipe.cosine_over == "all" and recipe.warmup_epochs > 0
