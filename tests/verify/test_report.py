"""A pair held against what was published: what is equal is found equal, and a planted difference is found."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

from kbench.cli.app import app
from kbench.config.experiment import Pair
from kbench.data.views.transforms import with_black_of_no_bits
from kbench.engine.clock import PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.errors import ConfigError
from kbench.verify.loop import BATCH, _batches, plain_losses
from kbench.verify.report import Named, PairReport, find_pairs, verify
from kbench.verify.small import small_workload
from kbench.verify.views import _p_values, reference

CHEAP = ("model", "rate", "values")
PAGE = Path(__file__).parents[2] / "docs" / "pairs.md"


def named(name: str) -> Named:
    (one,) = find_pairs(name)
    return one


def states(report: PairReport, part: str) -> dict[str, str]:
    return {row.what: row.state for row in report.rows if row.part == part}


def changed(one: Named, **recipe: object) -> Named:
    return Named(one.experiment, one.pair.model_copy(update={"recipe": one.pair.recipe.model_copy(update=recipe)}))


@pytest.mark.parametrize(
    "name",
    [
        "sb-cifar10/resnet18-lr1",
        "autoassist/resnet18-mnist",
        "sb-svhn/wrn-16-8-lr2",
        "fractal3k-deit-tiny/deit-tiny-fractal3k",
    ],
)
def test_model_and_rate_of_a_pair_are_those_of_the_authors_code(name: str) -> None:
    report = verify(named(name), parts=("model", "rate"))
    assert set(states(report, "rate").values()) == {"equal"} and not report.unexplained
    assert next(row for row in report.rows if row.what.startswith("parameters")).state == "equal"


def test_another_rate_and_another_model_are_found_and_nothing_explains_them() -> None:
    one = changed(named("sb-cifar10/resnet18-lr1"), lr=0.2)
    assert [row.what for row in verify(one, parts=("rate",)).unexplained][:2] == ["peak", "integral, published = 1"]
    late = changed(named("sb-cifar10/resnet18-lr1"), milestones=(61.0, 120.0, 160.0))
    found = verify(late, parts=("rate",)).unexplained
    assert "in epoch 60" in found[-1].here
    pair = one.pair.model_copy(update={"model": "mobilenetv2-cifar"})
    (row,) = [row for row in verify(Named("x", pair), parts=("model",)).rows if row.what.startswith("parameters")]
    assert (row.published, row.here) == ("2,296,922", "2,296,922")


def test_the_three_readings_of_the_fine_tuning_say_what_their_rates_are_to_the_group_s() -> None:
    shares = {}
    for reading in ("-vit-group", "-kakurenbo-program", ""):
        report = verify(named(f"fractal3k-deit-tiny/deit-tiny-cifar10{reading}"), parts=("rate", "values"))
        assert not report.unexplained and "made the published log is not known" in report.note
        shares[reading] = next(row.here for row in report.rows if row.what.startswith("integral"))
    assert [round(float(share), 2) for share in shares.values()] == [1.0, 1.0, 0.67]


def test_values_that_nobody_published_are_told_from_the_others() -> None:
    rows = verify(named("deit-tiny-cifar10"), parts=("values",)).rows
    assumed = {row.what: row.why for row in rows if row.state == "assumed"}
    assert {"lr", "augment", "precision"} <= assumed.keys() and all(assumed.values())
    assert {row.what for row in rows if row.state == "published"} >= {"epochs", "global_batch", "weight_decay"}


def test_updates_are_those_of_a_plain_loop_and_another_optimizer_is_seen(tmp_path: Path) -> None:
    one = named("sb-cifar10/mobilenetv2-lr1")
    report = verify(one, parts=("loop",), steps=2)
    assert [row.state for row in report.rows] == ["equal"]
    small = small_workload(one.pair, tmp_path, batch=BATCH, n_images=3 * BATCH)
    batches, model = _batches(small.workload, 3), Learner(small.workload, 0, Comm())
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    here = [float(model.step(batch, 0.1, PhaseTimer(torch.device("cpu"))).loss.mean()) for batch in batches]
    model.module.load_state_dict(before)
    other = one.pair.recipe.model_copy(update={"nesterov": False})
    assert plain_losses(model.module, batches, [0.1] * 3, other)[1:] != pytest.approx(here[1:], abs=1e-4)


def test_views_are_distributed_as_torchvision_s_and_another_cutout_is_seen(tmp_path: Path) -> None:
    pair = named("sb-cifar10/resnet18-lr1").pair
    rows = verify(Named("sb-cifar10", pair), parts=("views",), draws=100).rows
    assert [row.state for row in rows] == ["equal"]
    small = small_workload(pair, tmp_path, batch=2, n_images=200, same=True)
    own = next(small.workload.batches([torch.arange(200)], key=9))[1]
    without = small.pair.recipe.model_copy(update={"cutout": 0})
    pixels = to_pil_image(torch.from_numpy(np.load(tmp_path / "images.npz")["x_train"][0]))
    torch.manual_seed(0)
    others = torch.stack([reference(without, own.shape[-1])(pixels) for _ in range(200)])
    assert min(_p_values(own, others)) < 1e-3


def test_the_command_draws_rates_and_tells_a_program_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rate.svg"
    words = ["verify-pair", "sb-cifar10/resnet18-lr1", "--part", "rate", "--out", str(path), "--json", "--quiet"]
    app(words, standalone_mode=False)
    (entry,) = json.loads(capsys.readouterr().out)["pairs"]
    assert entry["ok"] and {row["part"] for row in entry["rows"]} == {"rate"}
    assert path.read_text().startswith("<?xml")
    assert path.with_suffix(".csv").read_text().startswith("epoch,published,here\n")


def test_a_pair_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet18-lr1'"):
        find_pairs("resnet18-lr11")
    assert len(find_pairs("sb-cifar10")) == 8


def test_posterizing_to_no_bit_is_black_as_it_was_before_pillow_refused_to() -> None:
    from PIL import Image
    from timm.data.auto_augment import AugmentOp, RandAugment

    operation = AugmentOp("PosterizeIncreasing", prob=1.0, magnitude=10, hparams={})
    steps = type("Steps", (), {"transforms": [RandAugment([operation], num_layers=1)]})()
    with_black_of_no_bits(steps)
    assert operation(Image.new("RGB", (2, 2), (200, 100, 50))).getextrema() == ((0, 0),) * 3
    operation.magnitude = 2
    assert operation(Image.new("RGB", (2, 2), (255, 100, 50))).getextrema() == ((240, 240), (96, 96), (48, 48))


@pytest.mark.parametrize(
    "name", ["sb-svhn/wrn-16-8-lr1", "autoassist/resnet18-cifar10", "deit-tiny-cifar100-vit-group"]
)
def test_the_page_of_pairs_is_what_the_command_prints(name: str) -> None:
    assert verify(named(name), parts=CHEAP).markdown in PAGE.read_text()


def test_the_page_has_a_section_for_every_pair_of_the_papers() -> None:
    page = PAGE.read_text()
    assert all(f"\n## {one.name}\n" in page for one in find_pairs("all"))


def test_an_assumed_key_that_no_recipe_has_is_refused() -> None:
    pair = named("deit-tiny-cifar10").pair.model_dump()
    pair["paper"]["assumed"] = {"learning_rate": "x"}
    with pytest.raises(ValueError, match="no key of a recipe"):
        Pair.model_validate(pair)
