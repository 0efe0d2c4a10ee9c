"""kbench check-method as it is called: a line per check, exit code 2 for what is broken."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.cli.app import main

HERE = Path(__file__).parent
Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check_method(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """``check_method("broken_methods:Sound", "--json")``: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kbench", "check-method", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0, *capsys.readouterr())

    return call


def test_a_broken_method_is_told_line_by_line(check_method: Called) -> None:
    code, out, err = check_method("broken_methods:ReseedsNumpy")
    lines = out.splitlines()
    assert code == 2 and len(lines) == 15
    assert [line for line in lines if line.startswith("BROKEN")] == [
        "BROKEN       leaves the random streams of others alone: moved the global random stream of numpy "
        "(plan, epoch 0 of phase train); draw from epoch.uniform or probe.uniform; leave the global generators alone"
    ]
    assert lines[-1] == ("not checked  trains on real ranks, and ends with equal weights: mend what is broken first")
    assert err.splitlines() == [
        "error: broken_methods:ReseedsNumpy: 1 of 15 checks broken, 4 not checked",
        "hint: the contract is kbench/strategies/api.py",
    ]


def test_json_says_the_same_to_programs(check_method: Called) -> None:
    code, out, _ = check_method("broken_methods:NeverTheBaseline", "--set", "share=0.25", "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["method"], told["ok"]) == (2, 1, "broken_methods:NeverTheBaseline", False)
    assert told["parameters"] == {"share": 0.25}
    (broken,) = [check for check in told["checks"] if check["state"] == "broken"]
    assert broken["check"] == "baseline-params" and broken["where"] == "share=0.0, epoch 0" and broken["reason"] is None
    assert {check["state"] for check in told["checks"]} == {"ok", "broken", "not checked"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nobody"], "unknown strategy 'nobody'; known: baseline"),
        (
            ["no_such_module:Thing"],
            "strategy 'no_such_module:Thing' cannot be loaded: No module named 'no_such_module'",
        ),
        (
            ["broken_methods:Nobody"],
            "strategy 'broken_methods:Nobody' cannot be loaded: module 'broken_methods' has no",
        ),
        (["broken_methods:NoDataclass"], "strategy 'broken_methods:NoDataclass' cannot be loaded: it is no dataclass"),
        (["random", "--set", "fraction=2"], "random: fraction: must be "),
        (["random", "--set", "fraktion=0.2"], "random: fraktion: unknown key"),
        (["random", "--set", "fraction"], "--set fraction: must be KEY=VALUE, got 'fraction'"),
        (["random", "--ranks", "1,two"], "--ranks: must be numbers from 1 to 16, got '1,two'"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, check_method: Called) -> None:
    code, out, err = check_method(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence}"), err
    assert err.count("error: ") == 1


def test_a_file_that_is_no_python_is_one_sentence(
    tmp_path: Path, check_method: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn_of_a_test.py").write_text("class Torn(\n")
    (tmp_path / "failing_of_a_test.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, words in (("torn", "was never closed"), ("failing", "RuntimeError: no licence")):
        code, _, err = check_method(f"{name}_of_a_test:Torn")
        assert code == 2 and words in err and err.count("error: ") == 1


def test_a_module_in_the_working_folder_is_found_by_the_installed_command(clean_env: dict[str, str]) -> None:
    command = [Path(sys.executable).parent / "kbench", "check-method", "broken_methods:AnyNumber"]
    done = subprocess.run(command, cwd=HERE, env=clean_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(
        "BROKEN       refuses parameters of a wrong type or out of range: it takes any number"
    )


def test_a_method_of_an_installed_package_is_listed_by_its_name(
    tmp_path: Path, kbench: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "site" / "tiny_methods").mkdir(parents=True)
    (tmp_path / "site" / "tiny_methods" / "__init__.py").write_text(
        '"""Hide nobody, politely."""\n'
        "from dataclasses import dataclass\n"
        "from kbench.strategies.api import Strategy\n"
        "@dataclass\n"
        "class Polite(Strategy):\n"
        '    """Hides nobody."""\n'
    )
    facts = tmp_path / "site" / "tiny_methods-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-methods\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[kbench.strategies]\npolite = tiny_methods:Polite\n")
    (facts / "RECORD").write_text("")
    listed = kbench("list", "strategies", env={"PYTHONPATH": str(tmp_path / "site")})
    assert listed.returncode == 0, listed.stderr
    assert "polite" in [line.split()[0] for line in listed.stdout.splitlines()]
    assert "Hide nobody, politely." in listed.stdout
