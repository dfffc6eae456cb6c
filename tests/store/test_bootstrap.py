"""The first start: two keys in two private files, the same ones at every start after."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from gateway.access import authenticate
from gateway.store.bootstrap import first_keys
from gateway.store.keystore import KeyStore
from tests.store.conftest import PEPPER


def test_the_first_start_makes_a_development_and_an_admin_key(store: KeyStore, tmp_path: Path) -> None:
    keys = first_keys(store, tmp_path)
    ring = store.load()
    assert authenticate(ring, keys.development, store.now()).role == "developer"
    assert authenticate(ring, keys.admin, store.now()).role == "admin"
    assert (tmp_path / "dev.key").read_text() == keys.development + "\n"
    assert stat.S_IMODE((tmp_path / "admin.key").stat().st_mode) == 0o600


def test_later_starts_find_the_same_keys_and_make_no_more(store: KeyStore, tmp_path: Path) -> None:
    assert first_keys(store, tmp_path) == first_keys(store, tmp_path)
    assert len(store.list()) == 2


def test_a_key_that_is_lost_spoiled_revoked_or_of_another_role_is_made_again(store: KeyStore, tmp_path: Path) -> None:
    first = first_keys(store, tmp_path)
    (tmp_path / "admin.key").unlink()
    second = first_keys(store, tmp_path)
    assert (second.development == first.development, second.admin == first.admin) == (True, False)

    (tmp_path / "dev.key").write_bytes(b"\xff\xfe nonsense")
    third = first_keys(store, tmp_path)
    assert third.development != second.development

    store.revoke(third.development.split("-")[1])
    fourth = first_keys(store, tmp_path)
    assert fourth.development != third.development

    (tmp_path / "admin.key").write_text(fourth.development)
    assert first_keys(store, tmp_path).admin != fourth.development


def test_two_processes_that_start_together_find_the_same_keys(url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from gateway.store.bootstrap import first_keys\n"
        "from gateway.store.keystore import KeyStore\n"
        "sys.stdin.read()\n"
        f"keys = first_keys(KeyStore(sys.argv[1], {PEPPER!r}), Path(sys.argv[2]))\n"
        "print(keys.development, keys.admin)\n"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in starts:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate(timeout=30) for process in starts]
    assert {error for _, error in said} == {""}
    assert len({out for out, _ in said}) == 1
    store = KeyStore(url, PEPPER)
    assert len(store.list()) == 2
    store.close()


def test_their_texts_are_not_in_their_repr(store: KeyStore, tmp_path: Path) -> None:
    assert repr(first_keys(store, tmp_path)) == "<FirstKeys>"
