"""Output files, in pieces."""

from __future__ import annotations

import pytest

from gateway.batches import tally as module
from gateway.batches.tally import Tally, Unreadable
from gateway.model.usage import Usage
from tests.batches.world import answer

LINES = answer("a", 10, 5) + b"\n" + answer("b", 1, 0) + answer("a", 0, 0, status=400) + answer("a", 7, 2)
NOTED = [("a", Usage(10, 5)), ("b", Usage(1, 0)), ("a", Usage(7, 2))]


@pytest.mark.parametrize("size", [1, 2, 3, 17, 100, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_where_the_file_is_cut_makes_no_difference(size: int, end: bytes) -> None:
    noted: list[tuple[str, Usage]] = []
    tally = Tally(lambda model, usage: noted.append((model, usage)))
    data = LINES.rstrip(b"\n") + end
    for at in range(0, len(data), size):
        tally.feed(data[at : at + size])
    tally.close()
    assert noted == NOTED
    assert (tally.lines, tally.silent) == (4, 0)


def test_responses_embeddings_and_odd_lines_are_read_too() -> None:
    noted: list[tuple[str, Usage]] = []
    tally = Tally(lambda model, usage: noted.append((model, usage)))
    for body in (
        b'{"model":"r","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}',
        b'{"model":"e","data":[{"embedding":[0.1,2]}],"usage":{"prompt_tokens":8,"total_tokens":8}}',
        b'{"id":"modr-1","results":[]}',
        b'"text"',
    ):
        tally.feed(b'{"response":{"status_code":200,"body":' + body + b"}}\n")
    tally.feed(b'{"response":null,"error":{"code":"batch_expired"}}\n')
    tally.close()
    assert noted == [("r", Usage(9, 3, 4)), ("e", Usage(8, 0))]
    assert (tally.lines, tally.silent) == (5, 2)


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b'{"response":\n', b'{"response":"x"}\n'])
def test_a_file_that_is_none_is_not_taken_for_an_empty_one(line: bytes) -> None:
    with pytest.raises(Unreadable):
        Tally(lambda *_: None).feed(line)


def test_a_line_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 100)
    tally = Tally(lambda *_: None)
    tally.feed(b"x" * 100)
    with pytest.raises(Unreadable):
        tally.feed(b"x")
