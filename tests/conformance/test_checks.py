"""Each broken method is caught by its own check, in its own words, and by no other."""

import pytest

from kbench.conformance.checks import CHECKS, Case, Verdict, examine

IN_THIS_PROCESS = {
    "ReseedsNumpy": ("streams", "moved the global random stream of numpy (plan, epoch 0 of phase train)"),
    "DrawsFromTorch": ("streams", "moved the global random stream of torch (select, epoch 0 of phase train)"),
    "DrawsFromRandom": ("streams", "moved the global random stream of random (select, epoch 0 of phase train)"),
    "ChangesStatistics": ("statistics", "changed SampleStats.loss, which it was only shown (plan, epoch 1 of"),
    "ChangesItsBatch": ("statistics", "changed Batch.x, which it was only shown (observe, epoch 0 of phase train)"),
    "MovesBatchNorm": ("model", "changed features.0.1.running_mean and 8 more of the model in training (select, epoch"),
    "HalfPrecisionIds": ("ids", "indices holds no odd id where half precision has none (plan, epoch 0 of phase train"),
    "StateOfAGenerator": ("memory", "a checkpoint cannot hold the state drawing (of type Generator) (state, epoch 1"),
    "PrivateState": ("memory", "an instance that was given the state of a checkpoint decides otherwise (plan, ep"),
    "DecidesByAccident": ("instances", "a second instance, asked and told the same, decides otherwise (plan, epoch"),
    "NeverTheBaseline": (
        "baseline-params",
        "the learning rate is 0.02525 where the baseline's is 0.025 (share=0.0, epoch 0)",
    ),
    "HidesNearlyAll": ("plans", "10 samples were planned, fewer than one global batch of 48 (plan, epoch 0 of"),
    "WeighsByNothing": (
        "plans",
        "weights holds weights that are negative or not finite (plan, epoch 0 of phase train)",
    ),
    "MasksInsteadOfWeighing": ("choices", "what select returned is a tensor of bool of shape (48,) (select, epoch 0"),
    "DrawsIds": ("choices", "the Resample holds rows from "),
    "RemembersAnotherWidth": ("choices", "remember returned a tensor of float32 of shape ("),
    "RemembersByAccident": ("instances", "a second instance, asked and told the same, decides otherwise (remember, "),
    "ChangesOutputs": ("statistics", "changed Outputs.features, which it was only shown (remember, epoch"),
    "ShowsNothing": ("plans", "image_size is 0 (plan, epoch 0 of phase "),
    "TrainsNever": ("plans", "repeats is 0 (plan, epoch 0 of phase "),
    "AnyNumber": ("parameters", "it takes any number, without a limit (share); type it with a range"),
    "StumblesOverItsSetup": (
        "parameters",
        "problems raised TypeError: '<' not supported between instances of 'NoneType'",
    ),
    "Crashes": ("life", "plan raised KeyError: 'threshold', "),
}


def broken(verdicts: list[Verdict]) -> dict[str, str]:
    return {verdict.check.name: verdict.finding.sentence for verdict in verdicts if verdict.finding}


def fast(method: str) -> list[Verdict]:
    """All but the checks that are made only where the others found nothing."""
    case = Case(f"broken_methods:{method}", ranks=())
    verdicts = []
    for verdict in examine(case):
        if verdict.check.last:
            break
        verdicts.append(verdict)
    return verdicts


@pytest.mark.parametrize("method", IN_THIS_PROCESS)
def test_a_broken_promise_is_told_in_its_own_words_and_no_other_cries_wolf(method: str) -> None:
    check, words = IN_THIS_PROCESS[method]
    found = broken(fast(method))
    assert list(found) == [check]
    assert found[check].startswith(words), found[check]
    assert "; " in found[check]  # what to do


def test_ids_that_went_through_float32_are_found_where_float32_ends() -> None:
    verdicts = list(examine(Case("broken_methods:Float32Ids", ranks=())))
    assert broken(verdicts).keys() == {"ids-beyond-2^24"}
    assert "no odd id where float32 has none" in broken(verdicts)["ids-beyond-2^24"]


def test_a_method_that_plans_only_even_ids_is_not_accused() -> None:
    assert not broken(list(examine(Case("broken_methods:EvenIds", ranks=()))))


def test_a_method_that_remembers_outputs_is_not_accused() -> None:
    assert not broken(fast("Remembering"))


@pytest.mark.dist
@pytest.mark.parametrize(
    ("method", "check", "words"),
    [
        ("PlansByRank", "same-plan", "the plan of epoch 0 (train) differs between the ranks (2 ranks); "),
        ("PlansFromItsOwnBatches", "same-plan", "the plan of epoch 1 (train) differs between the ranks (2 ranks); "),
        ("SelectsOnSomeRanks", "ranks", "whether select returned None differs between the ranks (2 ranks); return"),
    ],
)
def test_what_only_several_ranks_show_is_told_in_its_own_words(method: str, check: str, words: str) -> None:
    found = broken(list(examine(Case(f"broken_methods:{method}", ranks=(2,)))))
    assert list(found) == [check]
    assert found[check].startswith(words), found[check]


@pytest.mark.dist
def test_a_sound_method_passes_every_check() -> None:
    verdicts = list(examine(Case("broken_methods:Sound")))
    assert {verdict.check.name: verdict.state for verdict in verdicts} == {check.name: "ok" for check in CHECKS}


def test_slow_checks_wait_until_the_others_hold() -> None:
    last = [verdict for verdict in examine(Case("broken_methods:AnyNumber")) if verdict.check.last]
    assert last and all(verdict.reason == "mend what is broken first" for verdict in last)


def test_a_check_that_could_not_be_made_says_why() -> None:
    verdicts = {verdict.check.name: verdict for verdict in fast("Crashes")}
    assert verdicts["memory"].reason == verdicts["ids"].reason == "its training ended early"
    assert verdicts["baseline-params"].reason == "it declares no baseline_params"
    verdicts = {verdict.check.name: verdict for verdict in fast("DecidesByAccident")}
    assert verdicts["memory"].reason == "it decides otherwise every time"


def test_phases_that_share_a_name_are_found() -> None:
    assert "the phases are train, train" in broken(fast("TwoTrainings"))["phases"]


def test_checks_have_names_and_promises_of_their_own() -> None:
    assert len({check.name for check in CHECKS}) == len({check.promise for check in CHECKS}) == len(CHECKS)
