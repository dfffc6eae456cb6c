"""The section `webhooks`: what it takes, and what it says of mistakes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.base import Places
from gateway.config.webhooks import Webhook, Webhooks, endpoints

SECTION: TypeAdapter[tuple[Webhook, ...]] = TypeAdapter(Webhooks)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "https://example.com/hooks/gateway"


def one(**more: Any) -> list[dict[str, Any]]:
    return [{"url": URL, "secret": SECRET, **more}]


@pytest.mark.parametrize("empty", [[], {}, None])
def test_an_empty_section_tells_nobody(empty: object) -> None:
    assert endpoints(SECTION.validate_python(empty)) == ()


def test_a_section_becomes_endpoints() -> None:
    (found,) = endpoints(
        SECTION.validate_python(
            one(
                previous_secret=base64.b64encode(b"p" * 24).decode(),
                events=["budget.*", "prices.stale"],
                headers={"Authorization": "Bearer t"},
                timeout=3,
            )
        )
    )
    assert (found.url, found.secrets, found.timeout_s) == (URL, (b"k" * 32, b"p" * 24), 3.0)
    assert found.headers == ((b"authorization", b"Bearer t"),)
    assert [found.wants(type) for type in ("budget.exceeded", "prices.stale", "calls.unpriced", "webhook.test")] == [
        True,
        True,
        False,
        True,
    ]


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (found,) = SECTION.validate_python(one(secret="file:secret"), context={"places": Places(tmp_path)})
    assert endpoints([found])[0].secrets == (b"k" * 32,)
    assert SECRET not in repr(found)
    assert SECRET not in found.model_dump_json()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (one(url="example.com"), "should begin with https:// or http://"),
        (one(url="https://u:p@example.com/"), "should hold no user name or password"),
        (one(url="https://example.com/#a"), "should hold no fragment"),
        (one(url="http://example.com/"), "is plain http"),
        (one(url="https://127.0.0.1/"), "leads to this machine or a private network"),
        (one(url="https://169.254.169.254/latest"), "leads to this machine or a private network"),
        (one(url=7), "should be text"),
        (one(secret="hunter2"), "should"),
        ([{"url": URL}], "Field required"),
        (one(events=[]), "at least 1 item"),
        (one(events=["budget.warn"]), "did you mean `budget.warning`?"),
        (one(events=["nosuch.*"]), "should be one of budget.warning"),
        (one(headers={"webhook-id": "x"}), "the gateway sets `webhook-id` itself"),
        (one(headers={"host": "x"}), "the gateway sets `host` itself"),
        (one(timeout=61), "less than or equal to 60"),
        (one(retries=3), "Extra inputs"),
        (one() + one(), "has one `url` twice"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(section: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SECTION.validate_python(section)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value.errors(include_input=False))  # as the loader asks for them


def test_plain_http_and_private_addresses_are_taken_where_they_are_meant() -> None:
    assert SECTION.validate_python(one(url="http://10.0.0.7:9000/hook", allow_private=True))
