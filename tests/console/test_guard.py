"""Which forms are our own."""

from __future__ import annotations

import pytest

from gateway.console.guard import is_own

HOST = {"host": "gateway.example:8081"}


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        pytest.param({"origin": "http://gateway.example:8081"}, True, id="our origin"),
        pytest.param({"origin": "https://Gateway.example:8081"}, True, id="our origin behind TLS"),
        pytest.param({"origin": "http://gateway.example:9999"}, False, id="another port of this host"),
        pytest.param({"origin": "http://evil.example"}, False, id="another host"),
        pytest.param({"origin": "null"}, False, id="an origin that hides"),
        pytest.param(
            {"sec-fetch-site": "same-origin", "origin": "https://outside.example"}, True, id="through a proxy"
        ),
        pytest.param({"sec-fetch-site": "same-site"}, False, id="a sibling host"),
        pytest.param({"sec-fetch-site": "cross-site"}, False, id="another site"),
        pytest.param({"sec-fetch-site": "none", "origin": "http://evil.example"}, False, id="no site, another origin"),
        pytest.param({}, True, id="no browser"),
    ],
)
def test_a_form_is_taken_from_our_own_pages_only(headers: dict[str, str], own: bool) -> None:
    assert is_own(HOST | headers) is own
