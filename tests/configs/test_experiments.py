"""The experiment files: every one is sound, says where it comes from, and means what the papers' words mean."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.parse import parse
from kbench.config.run_spec import expand
from kbench.config.yaml_source import read_source
from kbench.data import dataset_info
from kbench.engine.schedule import learning_rate
from kbench.experiment.registries import Registries
from kbench.models.build import build_model

FOLDER = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OURS = {"all", "all-fashion", "as-coded", "noise", "quick"}  # after no publication
FIVE = {"baseline", "iswr", "forget", "sb", "kakurenbo"}


@cache
def spec_of(name: str) -> ExperimentSpec:
    return parse(ExperimentSpec, read_source(FOLDER / f"{name}.yaml"), context=Registries())


def pair_of(experiment: str, name: str) -> Pair:
    return next(pair for pair in spec_of(experiment).pairs if pair.name == name)


PAIRS = [(name, pair.name) for name in NAMES for pair in spec_of(name).pairs]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_named_as_its_file_and_says_what_it_is(name: str) -> None:
    assert spec_of(name).name == name
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ") and first.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_its_runs_have_names_of_their_own(name: str) -> None:
    spec = spec_of(name)
    runs = {run.run_id for run in expand(spec, ranks=1)}
    assert len(runs) == len(spec.pairs) * len(spec.strategies) * len(spec.seeds)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"as-coded", "noise"}))
def test_the_five_methods_and_seeds_enough_for_an_interval_are_in_it(name: str) -> None:
    assert {choice.name for choice in spec_of(name).strategies} >= FIVE
    assert len(spec_of(name).seeds) >= 3


@pytest.mark.parametrize("name", sorted(set(NAMES) - OURS))
def test_every_pair_says_what_its_recipe_was_read_in(name: str) -> None:
    assert all(pair.paper and pair.paper.source for pair in spec_of(name).pairs)


@pytest.mark.parametrize("experiment, name", PAIRS)
def test_the_global_batch_is_what_the_papers_gpus_took_together(experiment: str, name: str) -> None:
    pair = pair_of(experiment, name)
    if pair.paper and pair.paper.gpus:
        per_gpu, rest = divmod(pair.recipe.global_batch, pair.paper.gpus)
        assert (per_gpu, rest) == (pair.paper.batch_per_gpu or per_gpu, 0)
    if pair.paper and pair.paper.batch_per_gpu and "deit" not in pair.model:  # which normalises no batches
        assert pair.recipe.batchnorm_group == pair.paper.batch_per_gpu
    if pair.paper and pair.paper.epochs:
        assert pair.recipe.epochs == pair.paper.epochs


@pytest.mark.parametrize("experiment, name", PAIRS)
def test_a_step_of_kakurenbos_ceiling_lies_within_the_epochs(experiment: str, name: str) -> None:
    pair = pair_of(experiment, name)
    for choice in spec_of(experiment).strategies:
        if choice.name == "kakurenbo" and pair.starts_from is None:
            assert choice.params["milestones"][-1] < pair.recipe.epochs


@pytest.mark.parametrize("experiment, name", PAIRS)
def test_the_model_can_be_built_as_the_recipe_asks(experiment: str, name: str) -> None:
    pair, recipe = pair_of(experiment, name), pair_of(experiment, name).recipe
    info = dataset_info(pair.dataset)
    assert info is not None
    shape = (info.shape[0], *([recipe.image_size] * 2 if recipe.image_size else info.shape[1:]))
    with torch.device("meta"):
        model = build_model(pair.model, shape, info.n_classes, dropout=recipe.dropout, drop_path=recipe.drop_path)
        answers = model.eval()(torch.zeros(2, *shape))
    assert answers.shape[:2] == (2, info.n_classes)


def test_the_pairs_of_the_noise_differ_in_nothing_else() -> None:
    runs = expand(spec_of("noise"), ranks=1)
    assert {run.noise_key for run in runs} == {runs[0].noise_key}
    assert [pair.recipe.noise for pair in spec_of("noise").pairs] == [0.001, 0.1, 0.2]
    other = runs[0].pair.model_copy(update={"recipe": runs[0].pair.recipe.model_copy(update={"lr": 0.1})})
    assert runs[0].model_copy(update={"pair": other}).noise_key != runs[0].noise_key


def rates(pair: Pair, *epochs: float) -> list[float]:
    return [learning_rate(pair.recipe, epoch / pair.recipe.epochs) for epoch in epochs]


def test_wide_resnets_learning_rate_is_the_authors() -> None:
    pair = pair_of("cifar100-wrn28-10", "wrn-28-10-cifar100")
    assert rates(pair, 0, 0.5, 1, 59.9) == pytest.approx([0.025, 0.025 * (1 + 31 / 2), 0.8, 0.8])
    assert rates(pair, 60, 120, 160) == pytest.approx([0.16, 0.032, 0.0064])


def test_the_long_recipe_warms_up_from_a_millionth_and_goes_down_as_timms_does() -> None:
    pair = pair_of("imagenet-resnet50-long", "resnet50-imagenet")
    assert rates(pair, 0, 300, 600) == pytest.approx([1e-6, 1e-5 + (3.52 - 1e-5) / 2, 1e-5])
    assert pair.recipe.ema_decay == pytest.approx(1 - (1 - 0.99998) * 2048 * 32 / 600)


def test_deits_warm_up_lasts_5000_updates() -> None:
    pair = pair_of("fractal3k-deit-tiny", "deit-tiny-fractal3k")
    per_epoch = 3_000_000 / 512
    assert pair.recipe.warmup_epochs * per_epoch == pytest.approx(5000, rel=1e-3)
    assert rates(pair, 0, 40, 80) == pytest.approx([1e-6, (1e-3 + 1e-5) / 2, 1e-5])


READINGS = {"vit-group": "-vit-group", "kakurenbo-program": "-kakurenbo-program", "plain": ""}


def fine_tuning(reading: str, dataset: str = "cifar10") -> Pair:
    return pair_of("fractal3k-deit-tiny", f"deit-tiny-{dataset}{READINGS[reading]}")


@pytest.mark.parametrize("reading", READINGS)
def test_the_two_fine_tunings_differ_in_nothing_but_the_data(reading: str) -> None:
    ten, hundred = (fine_tuning(reading, dataset) for dataset in ("cifar10", "cifar100"))
    assert ten.recipe == hundred.recipe
    assert ten.starts_from == hundred.starts_from == "deit-tiny-fractal3k"
    assert ten.paper == hundred.paper and ten.paper is not None
    assert ten.paper.reading == reading and "made the published log is not known" in ten.paper.note


@pytest.mark.parametrize(("reading", "share"), [("vit-group", 1.0), ("kakurenbo-program", 1.0), ("plain", 0.673)])
def test_the_rate_of_a_fine_tuning_integrates_to_its_share_of_the_group_s(reading: str, share: float) -> None:
    from timm.scheduler.cosine_lr import CosineLRScheduler  # as masora1030/CVPR2023-FDSL-on-VisualAtom calls it

    scale, groups = 768 / 512, torch.optim.SGD([torch.zeros(1)], lr=0.01 * 768 / 512)
    schedule: Any = CosineLRScheduler(  # type: ignore[no-untyped-call]
        groups, t_initial=1000, lr_min=1e-5 * scale, warmup_t=10, warmup_lr_init=1e-6 * scale
    )
    group_s = [schedule._get_lr(epoch)[0] for epoch in range(1000)]
    recipe = fine_tuning(reading).recipe
    own = [learning_rate(recipe, (epoch + 0.5) / 1000) for epoch in range(1000)]
    assert sum(own) / sum(group_s) == pytest.approx(share, abs=0.002)
    assert max(own) / max(group_s) == pytest.approx(1.0 if share == 1 else 2 / 3, abs=1e-3)


@pytest.mark.parametrize("reading", ["vit-group", "kakurenbo-program"])
def test_the_group_s_optimizer_is_timms_with_102_of_152_tensors_not_decayed(reading: str) -> None:
    from timm.optim._optim_factory import create_optimizer_v2

    from kbench.engine.optimizer import build_optimizer

    recipe = fine_tuning(reading).recipe
    model = build_model("timm:deit_tiny_patch16_224", (3, 224, 224), 10, dropout=None, drop_path=recipe.drop_path)
    timms = create_optimizer_v2(model, "sgd", lr=recipe.lr, weight_decay=1e-4)
    decay = {}
    for optimizer in (build_optimizer(model, recipe), timms):
        groups = optimizer.param_groups
        assert all(group["nesterov"] and group["momentum"] == 0.9 for group in groups)
        decay[optimizer] = {id(tensor): group["weight_decay"] for group in groups for tensor in group["params"]}
    first, second = decay.values()
    assert first == second and list(first.values()).count(0.0) == 102 and len(first) == 152


BY_DATASET: dict[str, dict[str, Any]] = {
    "cifar10": {"cutout": 16, "gamma": 0.2, "beta": 2.0, "wide": "wrn-28-10", "dropout": 0.3},
    "cifar100": {"cutout": 8, "gamma": 0.1, "beta": 1.0, "wide": "wrn-28-10", "dropout": 0.3},
    "svhn": {"cutout": 20, "gamma": 0.1, "beta": 3.0, "wide": "wrn-16-8", "dropout": 0.4},
}


@pytest.mark.parametrize("dataset", BY_DATASET)
def test_selective_backprops_four_networks_are_trained_under_both_schedules(dataset: str) -> None:
    spec, said = spec_of(f"sb-{dataset}"), BY_DATASET[dataset]
    models = ["resnet18-cifar", said["wide"], "densenet121-cifar", "mobilenetv2-cifar"]
    assert [pair.model for pair in spec.pairs] == [model for model in models for _ in range(2)]
    for first, second in zip(spec.pairs[::2], spec.pairs[1::2], strict=True):
        assert [milestone * 0.8 for milestone in first.recipe.milestones] == list(second.recipe.milestones)
        assert second.recipe.epochs == 0.8 * first.recipe.epochs
    for pair in spec.pairs:
        assert (pair.dataset, pair.recipe.cutout, pair.recipe.gamma) == (dataset, said["cutout"], said["gamma"])
        assert (pair.recipe.global_batch, pair.recipe.lr, pair.recipe.weight_decay) == (128, 0.1, 5e-4)
        assert pair.recipe.dropout == (said["dropout"] if "wrn" in pair.model else None)
    betas = {choice.params["beta"] for choice in spec.strategies if choice.name.startswith("sb")}
    assert betas == {said["beta"]}


def test_both_experiments_with_all_strategies_have_all_but_the_one_that_needs_a_file() -> None:
    from kbench.strategies import STRATEGIES

    labels = [[choice.label for choice in spec_of(name).strategies] for name in ("all", "all-fashion")]
    assert labels[0] == labels[1]
    assert {choice.name for choice in spec_of("all").strategies} == set(STRATEGIES) - {"subset"}
