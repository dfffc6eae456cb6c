"""Secret files: whole, private, and the same for all who start at once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.store.private import load_pepper, read_private, turn, write_private


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_pepper_is_made_once_with_32_random_bytes_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "data" / "pepper"
    pepper = load_pepper(file)
    assert len(pepper) == 32
    assert load_pepper(file) == pepper == file.read_bytes()
    assert mode(file) == 0o600
    assert load_pepper(tmp_path / "other") != pepper


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "blank"), (b" \n" * 20, "blank"), (b"short", "cut short")],
    ids=["empty", "blank", "cut"],
)
def test_a_pepper_that_protects_nothing_refuses_the_start(tmp_path: Path, content: bytes, word: str) -> None:
    file = tmp_path / "pepper"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=word):
        load_pepper(file)


def test_processes_that_start_together_find_one_pepper(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gateway.store.private import load_pepper; "
        "sys.stdin.read(); print(load_pepper(Path(sys.argv[1])).hex())"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "pepper")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in starts:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    found = {process.communicate(timeout=30)[0] for process in starts}
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_a_private_file_is_replaced_as_a_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "dev.key"
    file.write_bytes(b"old and readable by all")
    file.chmod(0o644)
    write_private(file, b"new")
    assert read_private(file) == b"new"
    assert mode(file) == 0o600
    assert os.listdir(tmp_path) == ["dev.key"]


def test_no_file_is_none_and_a_folder_that_is_none_is_a_fault(tmp_path: Path) -> None:
    assert read_private(tmp_path / "nothing") is None
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_private(tmp_path)
    with pytest.raises(ConfigError, match="not a folder"), turn(tmp_path / "file"):
        pass
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(tmp_path / "no" / "folder", b"")


def test_turns_are_taken_one_after_the_other(tmp_path: Path) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with turn(tmp_path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
