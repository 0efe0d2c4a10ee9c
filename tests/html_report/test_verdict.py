"""What is claimed of a strategy: what its intervals support, and no more."""

from dataclasses import replace
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.finding import warning
from kbench.analysis.frame import Frames
from kbench.analysis.roles import RowRole, read_specs, roles
from kbench.html_report.verdict import Verdict, summaries, verdicts

PAIR = "digits-cnn-digits"


def judged(frames: Frames, baseline: str = "baseline", margin: float | None = None) -> dict[str, Verdict]:
    """The verdict on each strategy; spaces that hold a line together are plain."""
    comparison = compare(frames, baseline=baseline, targets=(), margins={PAIR: margin} if margin else {})
    who = roles([(row.pair, row.strategy) for row in comparison.rows], read_specs(frames))
    return {verdict.strategy: verdict for verdict in verdicts(comparison, who)}


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def write(book: Any, strategy: str, ratios: list[float], gains: list[float], **more: Any) -> None:
    """Runs beside a baseline of 0.9 and 10 s: their times as ratios of its, their accuracies as differences."""
    for seed, (ratio, gain) in enumerate(zip(ratios, gains, strict=True)):
        book.run(strategy, seed, [0.5, 0.9 + gain], [5 * ratio, 5 * ratio], **more)


@pytest.fixture
def against(book: Any) -> Any:
    """A baseline of four seeds."""
    write(book, "baseline", [1.0] * 4, [0.0] * 4, forward_s=1.0)
    return book


def test_a_saving_whose_interval_excludes_zero_is_claimed_with_its_numbers(against: Any) -> None:
    write(against, "mine", [0.5, 0.52, 0.48, 0.5], [0.01, -0.01, 0.02, -0.02])
    mine = judged(against.frames())["mine"]
    assert plain(mine.sentence) == (
        "Against baseline, mine saved training time: -50.0 % [-52.6, -47.4]; "
        "it is not shown to gain or lose final accuracy: +0.00 points [-2.91, +2.91]."
    )
    assert [(mark.text, mark.tone) for mark in mine.marks] == [
        ("less time", "good"),
        ("accuracy: not told apart", "open"),
    ]


def test_longer_and_less_accurate_is_said_as_plainly(against: Any) -> None:
    write(against, "mine", [1.5, 1.52, 1.48, 1.5], [-0.01, -0.012, -0.011, -0.011])
    mine = judged(against.frames())["mine"]
    assert "took more training time: +50.0 % [" in plain(mine.sentence)
    assert "it lost final accuracy: -1.10 points [-1.23, -0.97]." in plain(mine.sentence)
    assert [mark.tone for mark in mine.marks] == ["bad", "bad"]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (1, "changed training time by -50.0 % in one seed, too few to tell that from chance"),
        (2, "changed training time by -49.0 % (range -50.0, -48.0) in two seeds, too few to tell that from chance"),
    ],
)
def test_one_seed_or_two_show_nothing_however_large_the_saving(against: Any, seeds: int, said: str) -> None:
    write(against, "mine", [0.5, 0.52][:seeds], [0.3, 0.31][:seeds])
    mine = judged(against.frames())["mine"]
    assert said in plain(mine.sentence)
    assert {mark.tone for mark in mine.marks} == {"open"}
    assert "saved" not in mine.sentence and "gained" not in mine.sentence


def test_seeds_without_any_spread_give_no_interval_and_no_claim(against: Any) -> None:
    write(against, "mine", [0.5] * 4, [0.0] * 4)
    mine = judged(against.frames())["mine"]
    assert "changed training time by -50.0 % in every seed alike, which gives no interval" in plain(mine.sentence)
    assert {mark.tone for mark in mine.marks} == {"open"}


def test_among_many_strategies_a_near_miss_may_be_chance_and_is_not_claimed(against: Any) -> None:
    write(against, "near", [0.9, 0.97, 0.93, 0.96], [0.0, 0.01, -0.01, 0.0])
    for place in range(8):
        write(against, f"other-{place}", [0.9, 1.1, 1.05, 0.98], [0.0, 0.01, -0.01, 0.0])
    frames = against.frames()
    near = judged(frames)["near"]
    assert near.time.is_shown and not near.time.is_significant
    assert "which may be chance among 9 strategies (Holm, p = " in near.sentence
    assert (near.marks[0].text, near.marks[0].tone) == ("perhaps less time", "open")
    assert dict(summaries([near])[0].lines)["Shown to save time"] == "none"


def test_the_best_epoch_is_named_where_it_tells_what_the_last_does_not(book: Any) -> None:
    for seed, (gain, loss) in enumerate([(0.01, -0.05), (-0.01, -0.052), (0.002, -0.051)]):
        book.run("baseline", seed, [0.9, 0.8], [5.0, 5.0])
        book.run("mine", seed, [0.9 + loss, 0.8 + gain], [5.0, 5.0 + seed])
    first, *_ = judged(book.frames())["mine"].more
    assert plain(first).startswith("At the best epoch its accuracy was lower than the baseline's: -5.10 points [")


BETTER, SAME, WORSE = [0.03, 0.032, 0.031, 0.03], [0.01, -0.01, 0.02, -0.02], [-0.03, -0.032, -0.031, -0.03]
FASTER, ALIKE, SLOWER = [0.5, 0.52, 0.48, 0.5], [0.7, 0.9, 0.75, 0.85], [1.5, 1.52, 1.48, 1.5]
LEVEL = [0.8, 0.805, 0.795, 0.8]  # of the time of a control that takes 0.8


CLOSE = [0.001, -0.001, 0.002, -0.001]  # well within half a point of a control's


@pytest.mark.parametrize(
    ("ratios", "gains", "margin", "said", "mark"),
    [
        (FASTER, BETTER, None, "It beat random in accuracy and time (", "beat random"),
        (FASTER, CLOSE, 0.005, "It beat random in time, and loses less than 0.5 points of accuracy (", "beat random"),
        (FASTER, CLOSE, None, "It was better than random in time; that it is as good in accuracy", "random not beaten"),
        (FASTER, SAME, 0.005, "It was better than random in time; that it is as good in accuracy", "random not beaten"),
        (FASTER, WORSE, 0.005, "It was better than random in time, and worse in accuracy (", "mixed against random"),
        (ALIKE, BETTER, None, "It was better than random in accuracy; that it is as good in time", "random not beaten"),
        (LEVEL, BETTER, None, "It beat random in accuracy, and takes less than 5 % more time (", "beat random"),
        (
            LEVEL,
            CLOSE,
            0.005,
            "It is shown to do no better than random, and no worse, within 0.5",
            "no better than random",
        ),
        (ALIKE, SAME, 0.005, "It is not shown to beat random (", "random not beaten"),
        (SLOWER, SAME, None, "It did not beat random: it was worse in time (", "worse than random"),
        (SLOWER, WORSE, None, "It did not beat random: it was worse in accuracy and time (", "worse than random"),
    ],
)
def test_a_method_is_held_against_the_control(
    against: Any, ratios: list[float], gains: list[float], margin: float | None, said: str, mark: str
) -> None:
    write(against, "random", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002])
    write(against, "mine", ratios, gains)
    mine = judged(against.frames(), margin=margin)["mine"]
    assert any(sentence.startswith(said) for sentence in mine.more), mine.more
    assert mine.marks[-1].text == mark
    assert mine.beats_controls is (mark == "beat random")


def test_a_budget_that_had_the_methods_time_is_beaten_in_accuracy_or_not_at_all(against: Any) -> None:
    write(against, "budget", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002], like="mine")
    write(against, "mine", FASTER, SAME)  # the time that a budget misses is no merit
    (said,) = (text for text in judged(against.frames())["mine"].more if "budget" in text)
    assert plain(said).startswith("It is not shown to beat budget, which had its time (accuracy ")
    assert "time -" not in said


def test_what_a_margin_asks_leads(against: Any) -> None:
    write(against, "mine", FASTER, CLOSE)
    mine = judged(against.frames(), margin=0.005)["mine"]
    assert mine.claim == (
        "Shown within the margin of 0.5 points: it saves at least 48.1 % of the training time and loses at most 0.15 "
        "points of final accuracy (95 %)."
    )
    assert mine.marks[0].text == "saves time within 0.5 points"


def test_what_is_not_shown_says_how_many_seeds_would_tell(against: Any) -> None:
    write(against, "mine", FASTER, [0.01, -0.01, 0.004, -0.004])
    claim = judged(against.frames(), margin=0.005)["mine"].claim
    assert claim.startswith("Not shown within the margin of 0.5 points: it saves at least 48.1 % of the training time")
    assert claim.endswith("17 more seeds would tell, with 80 % power if the truth is as measured.")


def test_what_fails_a_margin_says_by_how_much(against: Any) -> None:
    write(against, "mine", SLOWER, WORSE)
    assert judged(against.frames(), margin=0.005)["mine"].claim == (
        "Shown to fail the margin of 0.5 points: it takes at least 48.1 % more time and loses at least 2.96 points of "
        "final accuracy (95 %)."
    )


def test_without_a_margin_the_bounds_are_given_and_no_verdict(against: Any) -> None:
    write(against, "mine", FASTER, CLOSE)
    claim = judged(against.frames())["mine"].claim
    assert claim.startswith("It saves at least 48.1 % of the training time and loses at most 0.15 points")
    assert claim.endswith("no margin was set that it may lose.")


def test_what_is_said_of_a_control_is_what_compare_says_with_it_as_baseline(against: Any) -> None:
    write(against, "random", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002])
    write(against, "mine", FASTER, BETTER)
    frames = against.frames()
    row = next(row for row in compare(frames, baseline="random", targets=()).rows if row.strategy == "mine")
    assert row.acc_final_diff is not None and row.acc_final_diff_ci and row.time_diff is not None and row.time_diff_ci
    low, high = (100 * bound for bound in row.acc_final_diff_ci)
    assert f"accuracy {100 * row.acc_final_diff:+.2f} points [{low:+.2f}, {high:+.2f}]" in plain(
        judged(frames)["mine"].more[0]
    )
    low, high = (100 * bound for bound in row.time_diff_ci)
    assert f"time {100 * row.time_diff:+.1f} % [{low:+.1f}, {high:+.1f}]" in plain(judged(frames)["mine"].more[0])


def test_from_one_seed_nobody_beats_a_control(against: Any) -> None:
    write(against, "random", [0.8], [0.0])
    write(against, "mine", [0.1], [0.05])
    mine = judged(against.frames())["mine"]
    assert plain(mine.more[0]).startswith("Whether it beats random cannot be told from one seed (accuracy +5.00 points")
    assert mine.beats_controls is False


def test_without_a_control_that_is_said(against: Any) -> None:
    write(against, "mine", FASTER, BETTER)
    verdict = judged(against.frames())["mine"]
    assert verdict.more == ("No control was run beside it: what needs no method might do as well.",)
    assert verdict.beats_controls is None


def test_a_control_as_baseline_is_a_control_all_the_same(against: Any) -> None:
    write(against, "random", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002])
    write(against, "mine", FASTER, BETTER)
    found = judged(against.frames(), baseline="random")
    assert found["mine"].more == ()
    assert found["baseline"].role is RowRole.BASELINE


def test_a_label_hides_no_control_from_us(against: Any) -> None:
    write(against, "coin", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002], name="random")
    write(against, "mine", FASTER, BETTER)
    found = judged(against.frames())
    assert found["coin"].role is RowRole.CONTROL
    assert found["mine"].more[0].startswith("It beat coin")


def test_a_label_makes_no_control_of_a_method(against: Any) -> None:
    write(against, "randomised-kakurenbo", FASTER, BETTER, name="kakurenbo")
    assert judged(against.frames())["randomised-kakurenbo"].role is RowRole.METHOD


def test_warnings_about_a_strategy_are_named_beside_its_verdict_and_not_beside_others(against: Any) -> None:
    write(against, "mine", FASTER, BETTER, n_hidden=30, n_trained=70)  # samples explain 30 % only
    write(against, "other", SLOWER, SAME)
    frames = against.frames()
    findings = compare(frames, baseline="baseline", targets=()).findings
    found = judged(frames)
    assert [findings[place].kind for place in found["mine"].findings] == ["ceiling"]
    assert found["other"].findings == ()


def test_a_warning_about_the_pair_or_its_baseline_concerns_all(against: Any) -> None:
    against.run("baseline", 9, [0.5], [1.0], fails="out of memory")
    write(against, "mine", FASTER, BETTER)
    write(against, "other", SLOWER, SAME)
    frames = against.frames()
    kinds = [finding.kind for finding in compare(frames, baseline="baseline", targets=()).findings]
    for verdict in judged(frames).values():
        assert "failed" in [kinds[place] for place in verdict.findings]


def test_a_strategy_of_another_place_is_warned_about_alone(against: Any) -> None:
    write(against, "mine", FASTER, BETTER, place={"device_name": "another"})
    write(against, "mine-2", SLOWER, SAME)
    frames = against.frames()
    kinds = [finding.kind for finding in compare(frames, baseline="baseline", targets=()).findings]
    found = judged(frames)
    assert [kinds[place] for place in found["mine"].findings] == ["device_name", "ceiling"]
    assert found["mine-2"].findings == ()


def test_a_summary_names_who_is_shown_to_do_what(against: Any) -> None:
    write(against, "random", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002])
    write(against, "good", FASTER, BETTER, n_trained=40)
    write(against, "bad", SLOWER, WORSE)
    (summary,) = summaries(list(judged(against.frames()).values()))
    assert summary.pair == PAIR
    assert {what: who.replace("*", "") for what, who in summary.lines} == {
        "Shown to save time": "good and random",
        "Shown to take more time": "bad",
        "Shown to lose accuracy": "bad",
        "Shown to gain accuracy": "good",
        "Shown to beat every control, of 2 methods": "good",
    }


def test_a_warning_about_several_pairs_concerns_each_of_them(against: Any) -> None:
    place = {"device_name": "another"}
    write(against, "mine", FASTER, BETTER, place=place)
    write(against, "other", SLOWER, SAME)
    write(against, "baseline", [1.0] * 4, [0.0] * 4, model="second")
    write(against, "mine", FASTER, BETTER, model="second", place=place)
    frames = against.frames()
    comparison = compare(frames, baseline="baseline", targets=())
    (joint,) = (place for place, finding in enumerate(comparison.findings) if finding.kind == "device_name")
    assert comparison.findings[joint].text.startswith("digits-cnn-digits, second-digits: mine and baseline differ")
    who = roles([(row.pair, row.strategy) for row in comparison.rows], read_specs(frames))
    told = {(v.pair, v.strategy) for v in verdicts(comparison, who) if joint in v.findings}
    assert told == {(PAIR, "mine"), ("second-digits", "mine")}


def test_a_failed_run_that_the_warning_only_counts_is_warned_about_all_the_same(against: Any) -> None:
    for name in ("one", "two", "three", "four", "five"):
        write(against, name, FASTER, BETTER)
        if name != "five":
            against.run(name, 9, [0.5], [1.0], fails="out of memory")
    frames = against.frames()
    (warned,) = (f.text for f in compare(frames, baseline="baseline", targets=()).findings if f.kind == "failed")
    assert "and 1 more" in warned
    kinds = [finding.kind for finding in compare(frames, baseline="baseline", targets=()).findings]
    told = {name for name, verdict in judged(frames).items() if "failed" in [kinds[d] for d in verdict.findings]}
    assert told == {"one", "two", "three", "four"}


def test_a_warning_of_a_kind_that_we_do_not_know_concerns_all(against: Any) -> None:
    write(against, "mine", FASTER, BETTER)
    frames = against.frames()
    comparison = compare(frames, baseline="baseline", targets=())
    comparison = replace(comparison, findings=(warning("new", "the clock of this machine is odd"),))
    who = roles([(row.pair, row.strategy) for row in comparison.rows], read_specs(frames))
    assert [verdict.findings for verdict in verdicts(comparison, who)] == [(0,)]


def test_downstream_everybody_is_the_baseline_from_other_weights_and_nobody_a_control_or_a_method(book: Any) -> None:
    for strategy in ("random", "mine", "baseline"):
        for seed in range(3):
            book.run(strategy, seed, [0.9 + 0.01 * seed], [5.0], model="down", upstream="up")
            book.run(strategy, seed, [0.9 + 0.01 * seed], [5.0], model="up")
    frames = book.frames()
    comparison = compare(frames, baseline="baseline", targets=())
    who = roles([(row.pair, row.strategy) for row in comparison.rows], read_specs(frames))
    assert {part for (pair, _), part in who.items() if pair == "down-digits"} == {RowRole.DOWNSTREAM}
    assert who["up-digits", "random"] is RowRole.CONTROL and who["up-digits", "mine"] is RowRole.METHOD
    (mine,) = (v for v in verdicts(comparison, who) if (v.pair, v.strategy) == ("down-digits", "mine"))
    assert mine.beats_controls is None
    (said,) = mine.more
    assert said.startswith("It began with the weights of its own run upstream and trained like the baseline")
    assert not any("control" in line for line, _ in summaries([mine])[0].lines)


def test_what_is_no_accuracy_is_called_by_its_name(book: Any) -> None:
    place = {"metric": "mean_iou"}
    write(book, "baseline", [1.0] * 4, [0.0] * 4, place=place)
    write(book, "random", [0.8, 0.81, 0.79, 0.8], [0.001, -0.001, 0.002, -0.002], place=place)
    write(book, "mine", SLOWER, [-0.01, -0.012, -0.011, -0.011], place=place)
    mine = judged(book.frames())["mine"]
    assert "it lost final mean IoU: -1.10 points" in plain(mine.sentence)
    assert [mark.text for mark in mine.marks[:2]] == ["more time", "less mean IoU"]
    assert plain(mine.more[0]).startswith("It did not beat random: it was worse in mean IoU and time (mean IoU ")
    assert ("Shown to lose mean IoU", "mine") in summaries([mine])[0].lines
    assert "accuracy" not in " ".join([mine.sentence, *mine.more, *(mark.text for mark in mine.marks)])
