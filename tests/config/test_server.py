"""The `server` section: its defaults build on each other, its values are checked and put in one form."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.server import Limits, Server


def test_the_admin_port_follows_the_data_port() -> None:
    server = Server.model_validate({"host": "10.1.2.3"})
    assert server.admin_host == "10.1.2.3"
    assert server.admin_allowed_hosts == ("localhost", "127.0.0.1", "[::1]", "10.1.2.3")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_adds_no_known_host(host: str) -> None:
    assert Server.model_validate({"host": host}).admin_allowed_hosts == ("localhost", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(("host", "expected"), [("[::1]", "::1"), ("LOCALHOST", "localhost"), ("fe80::1", "fe80::1")])
def test_a_bound_host_has_one_form(host: str, expected: str) -> None:
    assert Server.model_validate({"host": host}).host == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1024, 1024), ("1024", 1024), ("512 KiB", 524_288), ("32MiB", 33_554_432), ("1 GiB", 1_073_741_824), ("7 B", 7)],
)
def test_sizes_are_bytes_or_have_a_unit(value: Any, expected: int) -> None:
    assert Limits.model_validate({"max_body_bytes": value}).max_body_bytes == expected


def test_proxies_are_addresses_and_networks() -> None:
    server = Server.model_validate({"trusted_proxies": ["10.0.0.0/8", "192.0.2.1", "fd00::/8"]})
    assert [str(network) for network in server.trusted_proxies] == ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]


def test_admin_tls_is_that_of_the_data_port_unless_it_says_none(tmp_path: Any) -> None:
    pair = {"cert": str(tmp_path / "cert"), "key": str(tmp_path / "key")}
    for path in pair.values():
        open(path, "w").close()
    assert Server.model_validate({"tls": pair}).admin_tls == Server.model_validate({"tls": pair}).tls
    assert Server.model_validate({"tls": pair, "admin_tls": None}).admin_tls is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"port": 8081}, "are both 8081"),
        ({"port": 8081, "admin_host": "0.0.0.0"}, "are both 8081"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"port": True}, "should be a number, not `true`"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"host": "http://x"}, "should be an address to listen on"),
        ({"host": "127.0.0.1:80"}, "should be an address to listen on"),
        ({"allowed_hosts": []}, "at least 1 item"),
        ({"allowed_hosts": ["https://x"]}, "should be a host as clients name it"),
        ({"allowed_hosts": ["x:80"]}, "should be a host as clients name it"),
        ({"admin_allowed_hosts": ["*"]}, "always wants a known Host"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, 'the network is "10.0.0.0/8"'),
        ({"trusted_proxies": ["*"]}, "names and `*` are not taken"),
        ({"trusted_proxies": [8]}, "should be an address or a network"),
        ({"limits": {"max_body_bytes": "3 MB"}}, 'such as "32 MiB"'),
        ({"limits": {"max_body_bytes": 0}}, "greater than 0"),
        ({"limits": {"keep_alive": ".nan"}}, "valid number"),
        ({"limits": {"header_timeout": float("inf")}}, "finite number"),
        ({"shutdown": {"grace": -1}}, "greater than or equal to 0"),
        ({"tls": {"cert": "no.pem", "key": "no.pem"}}, "there is no file"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_would_be_right(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("*", r"\*")):
        Server.model_validate(section)


def test_two_listeners_may_share_a_port_on_different_addresses() -> None:
    server = Server.model_validate({"host": "192.0.2.1", "admin_host": "127.0.0.1", "port": 443, "admin_port": 443})
    assert server.port == server.admin_port
