"""Scripts as files: what loads, and what is said about what does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.providers.scripting import builtin, load, loads

DOCS = Path(__file__).parents[2] / "docs" / "scripted-provider.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loads(text, "s.yaml")
    return [str(fault) for fault in raised.value.faults]


def test_the_built_in_script_serves_demo() -> None:
    assert builtin().models == ("demo",)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_docs_loads(example: str) -> None:
    assert loads(example).models


def test_the_docs_hold_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_every_kind_of_fault_stands_in_the_docs() -> None:
    kinds = {
        "hang", "reset", "close_early", "truncate", "bad_chunk", "drip", "malformed_sse", "error_event", "no_done",
        "wrong_length", "bad_head", "huge_head", "gzip_bomb",
    }  # fmt: skip
    assert kinds == set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text().partition("## How it breaks")[2], re.M)) & kinds
    for kind in kinds:
        assert loads(f"models: [m]\nreplies: [{{text: a, fault: {{kind: {kind}}}}}]")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models: [m]\nreplys: []", "s.yaml:2: replys: unknown key; did you mean `replies`?"),
        ("replies: []", "s.yaml:1: the script: the key `models` is missing"),
        ("models: []", "s.yaml:1: models: Tuple should have at least 1 item after validation, not 0"),
        (
            "models: [m]\nreplies:\n  - text: a\n    fault:\n      kind: reset\n      after_chunk: 1",
            "s.yaml:6: replies.0.fault.after_chunk: unknown key; did you mean `after_chunks`?",
        ),
        (
            "models: [m]\nreplies:\n  - text: a\n    json: {}",
            "s.yaml:3: replies.0: a reply says one thing, not text and json",
        ),
        (
            "models: [m]\nreplies:\n  - when: {endpoint: embeddings}\n    text: a",
            "s.yaml:3: replies.0: what this reply says cannot answer the endpoint `embeddings`",
        ),
        (
            'models: [m]\nreplies:\n  - text: "{{ questoin }}"',
            "s.yaml:3: replies.0.text: `{{ questoin }}` is not known; there are choice, count, model, question, "
            "system, tool_result, turn",
        ),
        (
            "models: [m]\nreplies:\n  - text: a\n    chunk: 0",
            "s.yaml:4: replies.0.chunk: should be `words`, `chars` or a number of characters above zero",
        ),
        (
            "models: [m]\nreplies:\n  - text: a\n    fault: {kind: hang, after_chunks: 1, after_bytes: 1}",
            "s.yaml:4: replies.0.fault: a fault happens in one place: `after_chunks` or `after_bytes`",
        ),
        (
            "models: [m]\nreplies:\n  - text: a\n    delay: {first: [2, 1]}",
            "s.yaml:4: replies.0.delay: a delay is a number of seconds, or two numbers, the smaller first",
        ),
        (
            'models: [m]\nreplies:\n  - text: a\n    headers: {x-a: "b\\r\\nc: d"}',
            "s.yaml:4: replies.0.headers: `x-a` is no header: a name is a token, a value one line of Latin-1",
        ),
        ("models: [m]\nmodels: [n]", "s.yaml:2: the key `models` stands twice"),
        ("models: [m", "s.yaml:2: did not find expected ',' or ']'"),
        ("models: !os.system [m]", "s.yaml:1: the tag `!os.system` is not known"),
    ],
    ids=lambda value: value[-40:],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_and_what_would_be_right(text: str, fault: str) -> None:
    assert faults_of(text) == [fault]


def test_all_faults_are_found_at_once() -> None:
    text = "models: [m]\nowner: 5\nreplies:\n  - txt: a\n  - text: b\n    times: 0"
    assert [fault.split(":")[1] for fault in faults_of(text)] == ["2", "4", "6"]


def test_a_billion_laughs_are_refused() -> None:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for level in "bcdefgh":
        previous = chr(ord(level) - 1)
        laughs += f"{level}: &{level} [{', '.join([f'*{previous}'] * 10)}]\n"
    assert "values" in faults_of(laughs)[0]


def test_nesting_is_bounded() -> None:
    assert faults_of("models: " + "[" * 500 + "]" * 500) == ["s.yaml:1: nested deeper than 40"]


def test_aliases_and_size_are_bounded() -> None:
    assert "aliases" in faults_of("x: &x a\ny: [" + "*x, " * 300 + "]")[0]
    assert "bytes" in faults_of("# " + "x" * (4 << 20))[0]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "s.yaml")
