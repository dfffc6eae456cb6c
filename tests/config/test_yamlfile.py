"""A file becomes data with lines, or is refused with the line that is to blame."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import yamlfile
from gateway.config.yamlfile import Loc
from gateway.errors import ConfigError

MODELS = """\
# a comment
models:
  fast:
    deployments:
      - {provider: a}
      - provider: b
        model: c
  4: {}
"""


def data(text: str) -> object:
    document, faults = yamlfile.parse(text, "f.yaml")
    assert not faults
    return document.data


def refusal(text: str) -> str:
    """What is said of a text that cannot be used, or of its first fault."""
    try:
        _, faults = yamlfile.parse(text, "f.yaml")
    except ConfigError as error:
        faults = error.faults
    return str(faults[0])


@pytest.mark.parametrize(
    ("loc", "line"),
    [
        ((), 2),
        (("models",), 2),
        (("models", "fast"), 3),
        (("models", "fast", "deployments", 0, "provider"), 5),
        (("models", "fast", "deployments", 1), 6),
        (("models", "fast", "deployments", 1, "model"), 7),
        (("models", "fast", "deployments", 1, "weight"), 6),
        (("models", "fast", "a union's tag", "deployments"), 4),
        (("models", "4"), 8),
        (("elsewhere",), 2),
    ],
    ids=str,
)
def test_every_place_has_a_line_and_a_missing_one_that_of_what_surrounds_it(loc: Loc, line: int) -> None:
    document, _ = yamlfile.parse(MODELS, "f.yaml")
    assert document.line(loc) == line


def test_an_empty_file_is_nothing_and_has_no_lines() -> None:
    document, faults = yamlfile.parse("# only a comment\n", "f.yaml")
    assert (document.data, document.line(("server",)), faults) == (None, None, [])


def test_keys_are_text_as_written() -> None:
    assert data("on: yes\n4: four\nnull: x\n") == {"on": True, "4": "four", "null": "x"}


def test_aliases_and_merges_work_and_a_mapping_s_own_keys_win() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd: {<<: [*a, {z: 4}]}\n"
    assert data(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 1, "y": 2, "z": 4},
    }


def test_a_key_of_a_mapping_keeps_its_own_line_when_a_merge_has_it_too() -> None:
    document, _ = yamlfile.parse("a: &a {x: 1}\nc:\n  <<: *a\n  x: 2\n", "f.yaml")
    assert document.line(("c", "x")) == 4


def test_every_key_that_stands_twice_is_named_with_both_lines() -> None:
    _, faults = yamlfile.parse("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n", "f.yaml")
    assert [str(fault) for fault in faults] == [
        "f.yaml:3: the key `a` stands here a second time (first: line 1)",
        "f.yaml:4: the key `d` stands here a second time (first: line 4)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "f.yaml:2: is not YAML: while scanning"),
        ("a: b: c\n", "f.yaml:1: is not YAML: mapping values are not allowed"),
        ("---\na: 1\n---\nb: 2\n", "f.yaml:3: is not YAML: expected a single document"),
        ("a: 1\nb: *nope\n", "f.yaml:2: is not YAML: found undefined alias"),
        ("a: 1\nb: \x07\n", "f.yaml:2: is not YAML: a character that may not stand here (U+0007)"),
        ("a: !!python/object/apply:os.system [x]\n", "f.yaml:1: the tag !!python/object/apply:os.system"),
        ("a: !!python/name:os.system\n", "f.yaml:1: the tag !!python/name:os.system is not accepted"),
        ("a: !!set {x}\n", "f.yaml:1: the tag !!set is not accepted"),
        ("a: 2026-13-45\n", "f.yaml:1: is no timestamp; put it in quotes"),
        (f"a: {'9' * 5000}\n", "f.yaml:1: is no int"),
        ("? [1, 2]\n: 3\n", "f.yaml:1: a key must be plain text"),
        ("a: {<<: 3}\n", "f.yaml:1: `<<` merges mappings only"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_not_plain_data_is_refused_with_its_line(text: str, expected: str) -> None:
    assert refusal(text).startswith(expected)


def test_the_usual_slips_get_a_hint() -> None:
    assert refusal("a:\n\tb: 1\n").endswith("this line has a tab")
    assert refusal("a: {port: ${PORT}}\n").endswith('put "${NAME}" in quotes')


def laughs(width: int, depth: int) -> str:
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (laughs(9, 10), "aliases unfold into more than 100000 values"),
        ("a: &a [x]\nb: [" + ", ".join(["*a"] * 1001) + "]", "has over 1000 aliases"),
        ("[" * 100_000, "is nested deeper than 32"),
        ("\n".join(" " * n + "a:" for n in range(60)), "is nested deeper than 32"),
        ("a: &a [*a]", "is nested deeper than 32"),
        ("a: &a {<<: *a}", "is nested deeper than 32"),
    ],
    ids=["billion laughs", "aliases", "flow depth", "block depth", "holds itself", "merges itself"],
)
def test_bombs_are_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_a_file_that_is_not_there_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read: No such file"):
        yamlfile.load(tmp_path / "no.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"binary\.yaml:2: is not UTF-8"):
        yamlfile.load(binary)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (yamlfile.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is larger than 16 MiB"):
        yamlfile.load(large)


def test_a_file_with_faults_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("\ufeffa: 1\na: 2\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        yamlfile.load(path)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [(str(path), 2)]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_what_yaml_writes_is_read_as_it_was(value: object) -> None:
    assert data(yaml.safe_dump(value)) == value


@given(st.text() | st.text(alphabet="ab:-{}[]&*<!|>\"'#\n ,?%@`$"))
def test_any_text_is_data_or_a_fault_with_a_line(text: str) -> None:
    try:
        yamlfile.parse(text, "f.yaml")
    except ConfigError as error:
        assert all(fault.line is not None for fault in error.faults)
