"""A worker's numbers in their file: they outlive their owner, whatever became of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.telemetry.slots import CHUNK_SLOTS, HEADER_SLOTS, Child, Slots, parse_names

WIDTHS = {"one": 1, "many": 20}
TABLE = b"0123456789abcdef"


def _open(folder: Path, digest: bytes = TABLE) -> Slots:
    return Slots(folder, "worker-0", WIDTHS, digest)


def test_a_successor_finds_every_child_with_its_numbers(tmp_path: Path) -> None:
    slots = _open(tmp_path)
    slots.add("one", ("a",))[0] = 7.0
    slots.add("many", ("b", "c"))[19] = 3.5
    slots.close()

    again = _open(tmp_path)
    assert [(child.metric, child.labels) for child in again.children] == [("one", ("a",)), ("many", ("b", "c"))]
    assert again.view(again.children[0])[0] == 7.0
    assert again.view(again.children[1]).tolist() == [0.0] * 19 + [3.5]
    assert again.add("one", ("d",)).tolist() == [0.0]
    again.close()


def test_children_fill_chunk_after_chunk_and_none_crosses_a_border(tmp_path: Path) -> None:
    slots = _open(tmp_path)
    count = CHUNK_SLOTS // 20 * 2 + 1
    for number in range(count):
        slots.add("many", (str(number),))[:] = memoryview(bytes(160)).cast("d")
    slots.close()
    again = _open(tmp_path)
    assert len(again.children) == count
    assert repr(again).startswith("<Slots worker-0.slots, ")
    assert all(len(again.view(child)) == 20 for child in again.children)
    again.close()


@pytest.mark.parametrize(
    "tail",
    [
        b'["one",["torn"',
        b"\x00" * 64,
        b'["one",["x"],9999999]\n',
        b'["unknown",["x"],30]\n',
        b'["many",["x"],8190]\n',
        b"{}\n",
        b'["one",["x"],"8"]\n',
    ],
    ids=["half a line", "zeros", "beyond the file", "unknown metric", "over a border", "not a list", "not a number"],
)
def test_a_torn_tail_of_names_is_cut_off_and_counting_goes_on(tmp_path: Path, tail: bytes) -> None:
    slots = _open(tmp_path)
    slots.add("one", ("whole",))[0] = 1.0
    slots.close()
    names = tmp_path / "worker-0.names"
    whole = names.read_bytes()
    names.write_bytes(whole + tail)

    again = _open(tmp_path)
    assert again.children == [Child("one", ("whole",), HEADER_SLOTS)]
    again.add("one", ("next",))
    assert [child.labels for child, _end in parse_names(names.read_bytes())] == [("whole",), ("next",)]
    again.close()


def test_numbers_written_under_another_table_are_begun_anew(tmp_path: Path) -> None:
    slots = _open(tmp_path)
    slots.add("one", ("a",))[0] = 7.0
    slots.close()
    again = _open(tmp_path, b"another table 16")
    assert again.children == []
    assert again.add("one", ("a",)).tolist() == [0.0]
    again.close()


def test_a_file_that_is_not_ours_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "worker-0.slots").write_bytes(b"garbage")
    (tmp_path / "worker-0.names").write_bytes(b"garbage")
    slots = _open(tmp_path)
    slots.add("one", ("a",))[0] = 1.0
    slots.close()
    assert len(_open(tmp_path).children) == 1


def test_two_owners_of_one_name_never_share_slots(tmp_path: Path) -> None:
    first, second = _open(tmp_path), _open(tmp_path)
    assert (first.path.name, second.path.name) == ("worker-0.slots", "worker-0.1.slots")
    first.close()
    third = _open(tmp_path)
    assert third.path.name == "worker-0.slots"
    second.close()
    third.close()


def test_a_name_that_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path) -> None:
    slots = _open(tmp_path)
    slots.add("one", ("a",))
    before = (tmp_path / "worker-0.names").read_bytes()
    names, slots._names = slots._names, os.open(tmp_path / "worker-0.names", os.O_RDONLY)
    with pytest.raises(OSError):
        slots.add("one", ("b",))
    os.close(slots._names)
    slots._names = names
    assert (tmp_path / "worker-0.names").read_bytes() == before
    slots.add("one", ("b",))
    slots.close()
    assert [child.labels for child in _open(tmp_path).children] == [("a",), ("b",)]


def test_files_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    _open(tmp_path).close()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
