"""`gateway keys`: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import cli_keys
from gateway.access import authenticate
from gateway.access.keys import PATTERN
from gateway.errors import ConfigError, Fault
from gateway.store.keystore import KeyStore

PEPPER = b"p" * 32
NOW = 1_800_000_000  # 2027-01-15T08:00:00Z


class Shell:
    """The sub-command as a program, over the keys of one folder."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/keys.db"
        self.configs: list[Path | None] = []
        self._app = typer.Typer()
        self._app.add_typer(cli_keys.build(self.open))

    def open(self, config: Path | None) -> KeyStore:
        self.configs.append(config)
        if config == Path("broken.yaml"):
            raise ConfigError([Fault("broken.yaml", 3, "no such setting"), Fault("broken.yaml", 7, "nor this")])
        return KeyStore(self.url, PEPPER, clock=lambda: NOW)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(self._app, ["keys", *words], terminal_width=200)

    def json(self, *words: str) -> Any:
        result = self.run(*words, "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def code(self, text: str, now: int = NOW) -> str:
        store = self.open(None)
        try:
            return authenticate(store.load(), text, now).team
        finally:
            store.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_new_key_is_shown_once_on_a_line_of_its_own_and_works(shell: Shell) -> None:
    result = shell.run("create", "--team", "search")
    assert result.exit_code == 0
    (key,) = (line for line in result.stdout.splitlines() if re.fullmatch(PATTERN, line))
    assert "shown this once" in result.stdout
    assert shell.code(key) == "search"
    assert key not in shell.run("list").output
    assert key.split("-")[2] not in json.dumps(shell.json("list"))


def test_every_setting_of_a_key_can_be_given(shell: Shell) -> None:
    made = shell.json(
        *("create", "--team", "search", "--project", "web", "--name", "search box", "--role", "finance"),
        *("--models", "gpt-5-mini, claude-*", "--agents", "scout", "--budget", "50/day"),
        *("--rpm", "600", "--tpm", "100000", "--expires", "2027-06-30"),
    )
    key = made.pop("key")
    assert re.fullmatch(PATTERN, key)
    assert made == {
        "id": key.split("-")[1],
        "team": "search",
        "project": "web",
        "name": "search box",
        "role": "finance",
        "models": ["claude-*", "gpt-5-mini"],
        "agents": ["scout"],
        "budget": "50/day",
        "rpm": 600,
        "tpm": 100000,
        "state": "active",
        "created_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-06-30T00:00:00Z",
        "revoked_at": None,
        "old_key_valid_until": None,
    }
    assert shell.json("list") == [made]


def test_the_list_is_a_table_that_a_pipe_does_not_cut(shell: Shell) -> None:
    key_id = shell.json(
        "create", "--team", "[red]search", "--models", "a,b", "--agents", "x", "--budget", "5/month", "--rpm", "6"
    )["id"]
    heading, row = shell.run("list").stdout.splitlines()
    assert heading.split() == ["ID", "TEAM", "PROJECT", "NAME", "ROLE", "SCOPE", "LIMITS", "EXPIRES", "STATE"]
    assert re.split(r"  +", row.strip()) == [
        key_id, "[red]search", "default", "developer", "a,b; agents x", "$5/month, 6 rpm", "never", "active"
    ]  # fmt: skip


def test_one_teams_keys_can_be_listed_alone(shell: Shell) -> None:
    shell.run("create", "--team", "a")
    shell.run("create", "--team", "b")
    assert [key["team"] for key in shell.json("list", "--team", "b")] == ["b"]
    assert shell.json("list", "--team", "c") == []


def test_rotation_shows_the_new_key_and_until_when_the_old_one_works(shell: Shell) -> None:
    made = shell.json("create", "--team", "search")
    result = shell.run("rotate", made["id"], "--overlap", "2h")
    (new,) = (line for line in result.stdout.splitlines() if re.fullmatch(PATTERN, line))
    assert "The old key works until 2027-01-15T10:00:00Z." in result.stdout
    assert new != made["key"]
    assert shell.code(new) == shell.code(made["key"], NOW + 7199) == "search"
    assert shell.json("rotate", made["id"])["old_key_valid_until"] == "2027-01-16T08:00:00Z"


def test_rotation_without_overlap_says_that_the_old_key_is_dead(shell: Shell) -> None:
    made = shell.json("create", "--team", "search")
    assert "The old key works no more." in shell.run("rotate", made["id"], "--overlap", "0s").stdout


def test_revocation_takes_an_id_or_a_whole_key_and_never_repeats_the_key(shell: Shell) -> None:
    one, two = (shell.json("create", "--team", "search") for _ in range(2))
    assert shell.json("revoke", one["id"])["state"] == "revoked"
    result = shell.run("revoke", two["key"])
    assert result.exit_code == 0
    assert f"Key {two['id']} of team search, project default is revoked since 2027-01-15T08:00:00Z." in result.stdout
    assert two["key"] not in result.output
    assert [key["state"] for key in shell.json("list")] == ["revoked", "revoked"]


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_an_id_that_nobody_has_ends_with_1(shell: Shell, verb: str) -> None:
    result = shell.run(verb, "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no key with the id 'nobody'" in result.stderr


def test_rotating_a_revoked_key_ends_with_1(shell: Shell) -> None:
    made = shell.json("create", "--team", "search")
    shell.run("revoke", made["id"])
    result = shell.run("rotate", made["id"])
    assert result.exit_code == 1
    assert "is revoked; create a new one" in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["create"], "--team"),
        (["create", "--team", ""], "--team"),
        (["create", "--team", "a", "--role", "king"], "prompt-author"),
        (["create", "--team", "a", "--budget", "much"], "50/day"),
        (["create", "--team", "a", "--models", ","], "--models"),
        (["create", "--team", "a", "--rpm", "0"], "--rpm"),
        (["create", "--team", "a", "--expires", "2020-01-01"], "has passed"),
        (["create", "--team", "a", "--expires", "soon"], "2027-01-31"),
        (["list", "--format", "xml"], "json"),
        (["rotate", "id", "--overlap", "long"], "--overlap"),
        (["revoke"], "ID"),
        (["steal"], "steal"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_ends_with_2_makes_nothing_and_says_what_would_be_right(
    shell: Shell, words: list[str], hint: str
) -> None:
    result = shell.run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert hint in re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert shell.json("list") == []


def test_the_file_of_config_decides_which_keys(shell: Shell) -> None:
    shell.run("list", "--config", "other.yaml")
    shell.run("list")
    assert shell.configs == [Path("other.yaml"), None]


def test_a_configuration_that_cannot_be_loaded_ends_with_1_and_every_fault(shell: Shell) -> None:
    result = shell.run("list", "--config", "broken.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "broken.yaml:3: no such setting\nbroken.yaml:7: nor this\n"
