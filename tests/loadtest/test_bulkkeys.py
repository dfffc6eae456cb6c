"""Keys in bulk are keys like any other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.access.keys import authenticate
from gateway.config.loader import Loader
from gateway.runtime import open_keystore
from loadtest import bulkkeys


def test_every_key_that_was_made_in_bulk_opens_the_door(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("models: {}\n")
    texts = bulkkeys.insert(config, tmp_path / "data", 25)
    loader = Loader(config, {}, tmp_path / "data")
    with closing(open_keystore(loader.load().settings, loader.data_dir)) as store:
        ring = store.load()
        callers = [authenticate(ring, text, store.now()) for text in texts]
    assert len({caller.key_id for caller in callers}) == 25
    assert {caller.team for caller in callers} == {"bench"}


def test_none_are_made_where_none_are_wanted(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("models: {}\n")
    assert bulkkeys.insert(config, tmp_path / "data", 0) == []
