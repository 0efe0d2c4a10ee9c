"""A YAML document knows where each of its keys stands, and takes settings."""

from pathlib import Path
from typing import Any

import pytest

from kbench.config.yaml_source import Source, dotted, read_source
from kbench.errors import ConfigError

TEXT = """\
name: one
pairs:
  - model: a
    recipe: {epochs: 3, lr: 1e-3}
  - model: b
    recipe:
      epochs: 4
seeds: [0, 1]
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return read(tmp_path, TEXT)


def read(folder: Path, text: str) -> Source:
    (folder / "x.yaml").write_text(text)
    return read_source(folder / "x.yaml")


def sentences(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [sentence.replace(f"{folder}/", "") for sentence in caught.value.sentences]


@pytest.mark.parametrize("text, value", [("1e-3", 0.001), ("1E5", 1e5), ("-2e4", -2e4), ("1.5e-3", 0.0015), ("3", 3)])
def test_a_number_with_an_exponent_is_a_number(text: str, value: float, tmp_path: Path) -> None:
    assert read(tmp_path, f"lr: {text}").tree == {"lr": value}


@pytest.mark.parametrize("text", ["e1", "1e", "1e-", "e-3x", "'1e-3'"])
def test_what_only_looks_like_a_number_is_a_word(text: str, tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, f"name: {text}").tree["name"], str)


@pytest.mark.parametrize(
    "loc, line",
    [
        ((), 1),
        (("name",), 1),
        (("pairs", 0, "recipe", "lr"), 4),
        (("pairs", 1, "recipe", "epochs"), 7),
        (("seeds", 1), 8),
        (("pairs", 1, "recipe", "momentum"), 6),
        (("nowhere", "at", "all"), 1),
    ],
)
def test_a_path_has_the_line_of_its_key_or_of_its_nearest_ancestor(
    loc: tuple[str | int, ...], line: int, source: Source
) -> None:
    assert source.place(loc).endswith(f"x.yaml:{line}")


def test_every_key_given_twice_is_named_with_its_second_line(tmp_path: Path) -> None:
    text = "a: 1\nb: {c: 1, c: 2}\na: 2\nd:\n  - e: 1\n    e: 2\n"
    assert sentences(tmp_path, text) == [
        "x.yaml:2: b.c: is given twice",
        "x.yaml:3: a: is given twice",
        "x.yaml:6: d[0].e: is given twice",
    ]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("a: 1\nb: [1\nc: 2", "x.yaml:3: is not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 1", "x.yaml:2: is not valid YAML: found character '\\t' that cannot start any token"),
        ("? [a]\n: 1", "x.yaml:1: is not valid YAML: found unhashable key"),
        ("a: \x07", "x.yaml: is not valid YAML: unacceptable character #x0007: special characters are not allowed"),
    ],
)
def test_broken_yaml_is_one_sentence_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentences(tmp_path, text) == [sentence]


PLAIN = "write the plain value"
MANY = "it has more than 20000 values, those of aliases included"
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("a: 1\nb: !!int abc", f"x.yaml:2: is not valid YAML: the tag !!int is not known here; {PLAIN}"),
        ("a: !!bool maybe", f"x.yaml:1: is not valid YAML: the tag !!bool is not known here; {PLAIN}"),
        ("a: !!timestamp b", f"x.yaml:1: is not valid YAML: the tag !!timestamp is not known here; {PLAIN}"),
        ("a: ! b", f"x.yaml:1: is not valid YAML: the tag ! is not known here; {PLAIN}"),
        ("a: !x [1]", f"x.yaml:1: is not valid YAML: the tag !x is not known here; {PLAIN}"),
        (
            "a: !!python/object/apply:os.getcwd []",
            f"x.yaml:1: is not valid YAML: the tag !!python/object/apply:os.getcwd is not known here; {PLAIN}",
        ),
        ("a: 0x_", "x.yaml:1: is not valid YAML: '0x_' is no number"),
        ("a: -0b__", "x.yaml:1: is not valid YAML: '-0b__' is no number"),
        ("a: 9223372036854775808", "x.yaml:1: is not valid YAML: the number 9223372036854775808 does not fit 64 bits"),
        ("a: [1,\n " + "9" * 5000 + "]", "x.yaml:2: is not valid YAML: is a number of 5000 characters"),
        ("a: 0x" + "f" * 4000, "x.yaml:1: is not valid YAML: is a number of 4002 characters"),
        ("a: 1." + "0" * 4000, "x.yaml:1: is not valid YAML: is a number of 4002 characters"),
        ('a: "\\uD800"', "x.yaml:1: is not valid YAML: holds the character '\\ud800', which is no text"),
        ('b: 1\na: "x\\0y"', "x.yaml:2: is not valid YAML: holds the character '\\x00', which is no text"),
        ('a: "\\e[31m"', "x.yaml:1: is not valid YAML: holds the character '\\x1b', which is no text"),
        (LAUGHS, f"x.yaml:5: is not valid YAML: {MANY}"),
        ("a: &a [1, *a]", "x.yaml:1: is not valid YAML: an alias stands inside of what it names"),
        ("[" * 100_000, "x.yaml:1: is not valid YAML: it is more than 30 levels deep"),
        ("".join(f"{' ' * i}a:\n" for i in range(600)), "x.yaml:30: is not valid YAML: it is more than 30 levels deep"),
        ("a: [" + "1," * 25_000 + "]", f"x.yaml:1: is not valid YAML: {MANY}"),
        ("a: " + "x" * 262_144, "x.yaml: is larger than 256 KiB, more than any experiment or site"),
    ],
)  # fmt: skip
def test_what_is_more_than_plain_values_is_one_sentence_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentences(tmp_path, text) == [sentence]


@pytest.mark.parametrize("code", ["FFFFFFFF", "00110000"])
def test_an_escape_that_names_no_character_is_refused_at_its_line(code: str, tmp_path: Path) -> None:
    (sentence,) = sentences(tmp_path, f'a: 1\nb: "\\U{code}"')
    assert sentence.startswith("x.yaml:2: is not valid YAML: an escape that names no character")


def test_what_looks_like_a_date_is_text(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 2001-99-99\n2001-12-01: b").tree == {"a": "2001-99-99", "2001-12-01": "b"}


def test_an_alias_and_a_merge_repeat_what_they_name(tmp_path: Path) -> None:
    tree = read(tmp_path, "a: &a {x: 1, y: 2}\nb: [*a, *a]\nc: {<<: *a, y: 3}").tree
    assert tree == {"a": {"x": 1, "y": 2}, "b": [{"x": 1, "y": 2}] * 2, "c": {"x": 1, "y": 3}}


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(ConfigError, match="is larger than"):
        read_source(Path("/dev/zero"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="is not a text file in UTF-8"):
        read_source(tmp_path / "x.yaml")


@pytest.mark.parametrize("name, why", [("gone.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot be read: {why}"):
        read_source(tmp_path / name)


@pytest.mark.parametrize(
    "setting, loc, value",
    [
        ("name=two", ("name",), "two"),
        ("pairs.1.recipe.lr=1e-2", ("pairs", 1, "recipe", "lr"), 0.01),
        ("seeds=[3, 4, 5]", ("seeds",), [3, 4, 5]),
        ("seeds.1=7", ("seeds", 1), 7),
        ("baseline=a=b", ("baseline",), "a=b"),
        ("pairs.0.recipe={epochs: 1}", ("pairs", 0, "recipe"), {"epochs": 1}),
        ("targets=", ("targets",), None),
    ],
)
def test_a_setting_replaces_what_stands_at_its_path(setting: str, loc: Any, value: Any, source: Source) -> None:
    changed = source.with_settings([setting])
    found = changed.tree
    for part in loc:
        found = found[part]
    assert found == value
    assert changed.place(loc) == f"--set {setting.partition('=')[0]}"


def test_a_star_stands_for_every_item(source: Source) -> None:
    changed = source.with_settings(["pairs.*.recipe.epochs=9"])
    assert [pair["recipe"]["epochs"] for pair in changed.tree["pairs"]] == [9, 9]
    assert changed.place(("pairs", 1, "recipe", "epochs")) == "--set pairs.*.recipe.epochs"


def test_a_later_setting_sees_an_earlier_one(source: Source) -> None:
    assert source.with_settings(["seeds=[5, 6]", "seeds.0=7"]).tree["seeds"] == [7, 6]


def test_a_setting_leaves_the_source_as_it_was(source: Source, tmp_path: Path) -> None:
    source.with_settings(["pairs.*.recipe.epochs=9", "seeds.0=7"])
    assert source == read(tmp_path, TEXT)


def test_what_stands_below_a_setting_is_placed_at_the_setting(source: Source) -> None:
    changed = source.with_settings(["pairs.0.recipe={epochs: 0}"])
    assert changed.place(("pairs", 0, "recipe", "epochs")) == "--set pairs.0.recipe"
    assert changed.place(("pairs", 1, "recipe", "epochs")).endswith("x.yaml:7")


@pytest.mark.parametrize(
    "setting, message",
    [
        ("seeds", "--set seeds: must be KEY=VALUE, got 'seeds'"),
        ("=3", "--set =3: must be KEY=VALUE, got '=3'"),
        ("pairs.2.recipe.epochs=1", "--set pairs.2.recipe.epochs: leads nowhere in "),
        ("pairs.².model=x", "--set pairs.².model: leads nowhere in "),
        (f"pairs.{'9' * 5000}.model=x", "--set pairs.999"),
        ("pairs.-1.model=x", "--set pairs.-1.model: leads nowhere in "),
        ("name=!!int abc", "--set name:1: is not valid YAML: the tag !!int is not known here"),
        ("name=0x_", "--set name:1: is not valid YAML: '0x_' is no number"),
        ("pairs.first.model=x", "--set pairs.first.model: leads nowhere in "),
        ("name.deeper=x", "--set name.deeper: leads nowhere in "),
        ("sites.x=1", "--set sites.x: leads nowhere in "),
        ("seeds=[1", "--set seeds:1: is not valid YAML"),
        ("pairs.0.recipe={a: 1, a: 2}", "--set pairs.0.recipe:1: a: is given twice"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting: str, message: str, source: Source) -> None:
    with pytest.raises(ConfigError) as caught:
        source.with_settings([setting])
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    "loc, text", [((), "top level"), (("pairs", 0, "recipe"), "pairs[0].recipe"), (("seeds", 1), "seeds[1]")]
)
def test_a_path_is_written_as_users_write_it(loc: tuple[str | int, ...], text: str) -> None:
    assert dotted(loc) == text
