"""Bad input as a user meets it: one clear sentence, the right exit code, nothing written."""

from pathlib import Path

import pytest

DRY = ["run", "small.yaml", "--dry-run"]


def setting(text: str) -> list[str]:
    return ["run", "small.yaml", "--set", text]


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["run", "gone.yaml"], 2, "gone.yaml: no such file, wanted experiment"),
        (["check", "quik"], 2, "experiment 'quik' not found; did you mean 'quick'?"),
        (
            setting("strategies=[baseline, kakurembo]"),
            2,
            "--set strategies: strategies[1].kakurembo: unknown strategy; did you mean 'kakurenbo'?",
        ),
        (
            setting("strategies.2.kakurenbo.fraction=1.3"),
            2,
            "--set strategies.2.kakurenbo.fraction: strategies[2].kakurenbo.fraction: must be less than 1, got 1.3",
        ),
        (
            setting("pairs.0.recipe.epochs=0"),
            2,
            "--set pairs.0.recipe.epochs: pairs[0].recipe.epochs: must be greater than or equal to 1, got 0",
        ),
        (
            setting("pairs.*.recipe.global_batch=1443"),
            2,
            "--set pairs.*.recipe.global_batch: pairs[0].recipe.global_batch: "
            "must be at most the 1442 training samples of digits, got 1443",
        ),
        (
            setting("ranks_per_node=5"),
            2,
            "small.yaml:5: pairs[0].recipe.global_batch: must divide evenly among 5 ranks, got 48; 45 or 50 would",
        ),
        (
            setting("strategies=[baseline, rho-loss: {holdout: 0.99}]"),
            2,
            "--set strategies: strategies[1].rho-loss.holdout: leaves 15 of 1442 samples, fewer than one global batch "
            "of 48 (pair digits-cnn-digits)",
        ),
        (
            setting("pairs.0.recipe.epochs=2"),
            2,
            "small.yaml:9: strategies[2].kakurenbo.milestones: 2 is never reached in 2 epochs, take it out, and the "
            "share that begins there (pair digits-cnn-digits)",
        ),
        (
            setting("strategies.0={name: randm, label: baseline}"),
            2,
            "--set strategies.0: strategies[0].name: unknown strategy; did you mean 'random'?",
        ),
        (setting("pairs.3.model=x"), 2, "--set pairs.3.model: leads nowhere in small.yaml"),
        (setting("epochs"), 2, "--set epochs: must be KEY=VALUE, got 'epochs'"),
        (
            [*DRY, "--only", "kakurembo"],
            2,
            "--only kakurembo: no strategy, pair or seed of this experiment; did you mean 'kakurenbo'?",
        ),
        ([*DRY, "--launcher", "mpiru"], 2, "--launcher: unknown launcher 'mpiru'; did you mean 'mpirun'?"),
        ([*DRY, "--site", "labtop"], 2, "site 'labtop' not found; did you mean 'laptop'?"),
        ([*DRY, "--site", "none.yaml"], 2, "none.yaml: no such file, wanted site"),
        ([*DRY, "--set", "nodes=2", "--launcher", "local"], 2, "nodes: the local launcher knows one node, got 2"),
        ([*DRY, "--set", "mpirun=no-such", "--launcher", "mpirun"], 3, "'no-such' is not there"),
        (["plot", "small", "--kind", "curve"], 2, "--kind: unknown kind 'curve'; did you mean 'curves'?"),
        (["plot", "small", "--size", "three"], 2, "--size: unknown size 'three'; known: one, screen, two"),
        (["plot", "small", "--kind", "all", "-o", "x.pdf"], 2, "--output: x.pdf is one file, --kind all draws 10"),
        (
            ["plot", "small", "--output", "x.gif"],
            2,
            "--output: must end in .png, .pdf, .svg or be a folder, got x.gif",
        ),
        (["compare", "small", "--target", "98"], 2, "--target: must be a fraction in (0, 1] or final*K, got 98"),
        (["compare", "small", "--target", "high"], 2, "--target: must be a fraction in (0, 1] or final*K, got high"),
        (
            ["compare", "small", "--transfer", "digits-cnn-digits"],
            2,
            "--transfer: must be UPSTREAM:DOWNSTREAM[,DOWNSTREAM], names of pairs, got 'digits-cnn-digits'",
        ),
        (
            ["compare", "small", "--transfer", "digits-cnn-digits:gone"],
            6,
            "small: no run of the pair 'gone' is done; done are digits-cnn-digits",
        ),
        (
            ["compare", "small", "--baseline", "sb"],
            6,
            "small: no run of the baseline 'sb' is done; done are baseline, kakurenbo, random",
        ),
        (["list", "strategy"], 2, "unknown kind 'strategy'; did you mean 'strategies'?"),
        (["list", "strategies", "sbb"], 2, "no strategies named 'sbb'; did you mean 'sb'?"),
        (["status", "smal"], 6, "results: holds no results of 'smal'; did you mean 'small'?"),
        (["cancel", "nothing"], 6, "results: holds no results of 'nothing'; known: small"),
        (["logs", "no-such-run"], 6, "results: no run has 'no-such-run' in its name"),
        ([*DRY, "--results", "small.yaml"], 6, "small.yaml: is a file, wanted a folder for results"),
        (
            ["run", "small.yaml", "--results", "/proc/kbench"],
            6,
            "/proc/kbench/small: cannot be written: No such file or directory",
        ),
        (
            setting("pairs.0.recipe.lr=1.0"),
            6,
            "results/small: holds another experiment named 'small': "
            "pair digits-cnn-digits: recipe.lr is 0.05 there, 1.0 here",
        ),
        (
            setting("strategies.1.random.fraction=0.5"),
            6,
            "results/small: holds another experiment named 'small': "
            "strategy random: params.fraction is 0.3 there, 0.5 here",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    words: list[str], code: int, sentence: str, folder: Path, here, fingerprint
) -> None:
    before = fingerprint(folder)
    said = here(*words, cwd=folder)
    (first,) = [line for line in said.err.splitlines() if not line.startswith("hint: ")]
    assert first.replace(f"{folder}/", "") == f"error: {sentence}"
    assert (said.code, said.out) == (code, "")
    assert fingerprint(folder) == before


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["frob"], "No such command 'frob'."),
        (["run", "--frob"], "No such option: --frob"),
        (["run", "small.yaml", "--max-parallel", "0"], "Invalid value for '--max-parallel'"),
        (["gather", "small", "extra"], "Got unexpected extra argument"),
        (["logs"], "Missing argument 'RUN'"),
    ],
)
def test_a_word_that_no_command_knows_is_said_to_be_so(words: list[str], sentence: str, folder: Path, here) -> None:
    said = here(*words, cwd=folder)
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_format_that_is_none_is_refused(folder: Path, here) -> None:
    said = here("compare", "small", "--format", "excel", cwd=folder)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: --format: must be ")
    assert said.err.endswith("got 'excel'\n")


def test_every_mistake_of_an_experiment_is_told_at_once(folder: Path, here) -> None:
    said = here("check", "small.yaml", "--set", "pairs.0.recipe.epochs=x", "--set", "seeds=[]", cwd=folder)
    assert said.code == 2
    assert said.err.count("error: ") == 2


def test_the_traceback_is_shown_when_asked_for(folder: Path, here) -> None:
    assert "Traceback" not in here("status", "nope", cwd=folder).err
    assert "Traceback" in here("status", "nope", "--debug", cwd=folder).err


def test_a_run_of_an_ambiguous_name_is_not_guessed(folder: Path, here) -> None:
    said = here("logs", "kakurenbo", cwd=folder)
    assert said.code == 6
    assert said.err.startswith("error: 'kakurenbo' fits 2 runs: small/digits-cnn-digits.kakurenbo.s0.")


def test_mistakes_of_the_experiment_and_of_the_site_are_told_together(folder: Path, here) -> None:
    said = here("check", "small.yaml", "--set", "nodes=0", "--set", "pairs.0.recipe.epochs=0", cwd=folder)
    keys = [line.removeprefix("error: ").split(": ")[1] for line in said.err.splitlines()]
    assert keys == ["nodes", "pairs[0].recipe.epochs"]
