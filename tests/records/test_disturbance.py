"""Which runs were disturbed, from what was measured beside their clocks."""

from dataclasses import replace
from typing import Any

import pytest

from kbench.records.disturbance import COLUMNS, MeasuredRun, Surroundings, find_disturbed, over, surroundings

QUIET: dict[str, Any] = {
    "train_s": 1.0, "n_passes": 100, "cpu_share": 0.97, "waited_share": 0.01, "switches_per_s": 10.0,
    "others_share": 0.02, "steal_share": 0.0, "pressure_cpu": 0.05, "pressure_memory": 0.0, "pressure_io": 0.0,
}  # fmt: skip
LOADED: dict[str, Any] = QUIET | {
    "train_s": 2.0, "cpu_share": 0.5, "waited_share": 0.5, "switches_per_s": 120.0, "others_share": 0.48,
    "pressure_cpu": 0.98,
}  # fmt: skip


def run(seed: int, *epochs: dict[str, Any], on_gpu: bool = False, instruments: tuple[object, ...] = ()) -> MeasuredRun:
    return MeasuredRun(
        run_id=f"p.iswr.s{seed}", pair="p", strategy="iswr", seed=seed, instruments=instruments, on_gpu=on_gpu,
        epochs=tuple(Surroundings(**epoch) for epoch in epochs),
    )  # fmt: skip


def texts(*runs: MeasuredRun) -> list[str]:
    return [found.text for found in find_disturbed(runs).values()]


def test_a_run_with_an_eighth_of_its_siblings_share_is_named_with_the_figures() -> None:
    slow = {"train_s": 574.5, "cpu_share": 0.12}
    quick = [{"train_s": seconds, "cpu_share": 0.99} for seconds in (3.4, 3.7)]
    assert texts(run(0, slow), run(1, quick[0]), run(2, quick[1])) == [
        "iswr s0 took 574.5 s, its other seeds 3.4 and 3.7; it had 12 % of its processors, they up to 99 %"
    ]


def test_quiet_runs_are_not_disturbed_however_low_their_share_is_by_nature() -> None:
    serial = QUIET | {"cpu_share": 0.4}
    spread = [serial, serial | {"cpu_share": 0.37, "train_s": 1.3}, serial | {"cpu_share": 0.42}]
    assert texts(*(run(seed, epoch) for seed, epoch in enumerate(spread))) == []


@pytest.mark.parametrize("name", ["others_share", "waited_share", "steal_share", "switches_per_s", "pressure_memory"])
def test_a_sixth_less_share_takes_a_sign_of_others(name: str) -> None:
    less = QUIET | {"cpu_share": 0.81}
    siblings = run(1, QUIET), run(2, QUIET)
    sign = {"others_share": 0.07, "waited_share": 0.04, "steal_share": 0.03}.get(name, 0.06)
    sign = 90.0 if name == "switches_per_s" else sign
    assert texts(run(0, less), *siblings) == []
    assert len(texts(run(0, less | {name: sign}), *siblings)) == 1


def test_a_sign_that_the_sibling_shows_as_well_is_none() -> None:
    crowded = QUIET | {"pressure_cpu": 0.6, "switches_per_s": 100.0}
    assert texts(run(0, crowded | {"cpu_share": 0.81}), run(1, crowded)) == []


def test_where_all_seeds_were_disturbed_each_is_found_without_a_sibling() -> None:
    found = texts(*(run(seed, LOADED) for seed in range(3)))
    assert len(found) == 3
    assert found[0] == (
        "iswr s0 took 2.0 s, its other seeds 2.0 and 2.0; it had 50 % of its processors, "
        "others used 48 % of the machine, its threads waited for a processor in 50 % of the time that they were ready"
    )


def test_a_single_run_that_lost_processors_to_the_hypervisor_is_disturbed() -> None:
    assert texts(run(0, QUIET | {"steal_share": 0.2})) == [
        "iswr s0 took 1.0 s; the hypervisor took 20 % of the machine"
    ]


def test_a_machine_that_others_use_elsewhere_disturbs_no_run() -> None:
    assert texts(run(0, QUIET | {"others_share": 0.6})) == []


def test_what_is_not_known_disturbs_nothing() -> None:
    nothing = {"train_s": 1.0}
    assert texts(run(0, {"train_s": 574.5}), run(1, nothing), run(2, nothing)) == []
    assert texts(run(0, {"train_s": 9.0}, on_gpu=True), run(1, nothing, on_gpu=True)) == []


def test_runs_measured_by_other_instruments_are_no_siblings() -> None:
    one, other = run(0, {"train_s": 9.0, "cpu_share": 0.3}), run(1, {"train_s": 3.0, "cpu_share": 0.9})
    assert len(texts(one, other)) == 1
    assert texts(one, replace(other, instruments=("another spin",))) == []


def test_the_disturbed_epochs_are_named() -> None:
    siblings = [run(seed, *[QUIET] * 6) for seed in (1, 2)]
    assert texts(run(0, QUIET, QUIET, LOADED, LOADED, QUIET, LOADED), *siblings)[0].endswith("(epochs 3-4, 6 of 6)")


def test_a_short_disturbance_of_a_long_run_does_not_make_it_a_disturbed_one() -> None:
    siblings = [run(seed, *[QUIET] * 100) for seed in (1, 2)]
    assert texts(run(0, *[QUIET] * 99, LOADED), *siblings) == []


def test_a_run_that_goes_on_is_held_against_as_many_epochs_of_its_siblings() -> None:
    early, late = QUIET | {"cpu_share": 0.5}, QUIET
    done = run(1, *[early] * 2, *[late] * 8)
    assert texts(run(0, early, early), done) == []
    assert len(texts(run(0, LOADED, LOADED), done)) == 1


def test_a_gpu_run_is_disturbed_by_its_time_for_a_sample_and_a_reason() -> None:
    usual = {"train_s": 10.0, "n_passes": 100, "gpu_throttled": 0.3, "gpu_others": 0.0}
    siblings = run(1, usual, on_gpu=True), run(2, usual | {"n_passes": 110, "train_s": 11.0}, on_gpu=True)

    def slow(times: float, **signs: float) -> list[str]:
        return texts(run(0, usual | {"train_s": 10.0 * times} | signs, on_gpu=True), *siblings)

    assert slow(1.2) == []  # power caps hold down all of them
    assert slow(1.2, gpu_throttled=0.8) == [
        "iswr s0 took 12.0 s, its other seeds 10.0 and 11.0; it took 1.20 times as long for a sample, "
        "its GPU was held below its clock for 80 % of the time"
    ]
    assert slow(1.05, gpu_others=2.0) == []
    assert len(slow(1.2, gpu_others=2.0)) == 1
    assert slow(1.5)[0].endswith("1.50 times as long for a sample, why is not on record")


def test_columns_of_an_epoch_become_rates_and_unknown_ones_stay_unknown() -> None:
    epoch: dict[str, object] = dict.fromkeys(COLUMNS) | {
        "train_s": 2.0, "cpu_s": 3.0, "cpu_wait_s": 1.0, "ctx_involuntary": 50, "cpu_share": 0.75, "gpu_throttled": "",
        "n_trained": 70, "n_scored": 20, "n_refreshed": 10, "steal_share": float("nan"),
    }  # fmt: skip
    found = surroundings(epoch)
    assert found == Surroundings(
        train_s=2.0, n_passes=100, cpu_share=0.75, waited_share=0.25, switches_per_s=25.0, gpu_throttled=0.0
    )
    assert surroundings(epoch | {"train_s": None}) is None


def test_epochs_are_taken_together_by_their_time() -> None:
    short, long = Surroundings(train_s=1.0, cpu_share=0.75), Surroundings(train_s=3.0, cpu_share=0.25, steal_share=0.5)
    assert over([short, long]) == Surroundings(train_s=4.0, cpu_share=0.375, steal_share=0.5)
