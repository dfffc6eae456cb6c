"""The `providers` and `models` sections: addresses, secrets and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.base import Places
from gateway.config.routes import Deployment, Model, OpenAIProvider, Timeouts


def provider(**section: Any) -> OpenAIProvider:
    return OpenAIProvider.model_validate({"base_url": "https://api.example.com/v1", **section})


def refusal(**section: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        provider(**section)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("HTTPS://API.Example.com:8443/V1//", "https://api.example.com:8443/V1"),
        ("https://api.deepseek.com", "https://api.deepseek.com"),
        ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]/v1"),
        ("http://vllm.internal:8000/v1", "http://vllm.internal:8000/v1"),
    ],
)
def test_an_address_has_one_form(url: str, expected: str) -> None:
    assert provider(base_url=url).base_url == expected


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:hunter2@api.example.com",
        "https://key@api.example.com",
        "https://api.example.com?key=hunter2",
        "https://api.example.com#x",
        "https://api.example.com:0/v1",
        "https://api.example.com:99999/v1",
        "https://api.example.com/a/../b",
        "https://api.example.com/v1\r\nx: y",
        "https://api.example.com\\@evil.example",
        "https://bücher.example/v1",
        "https://[::1",
        "https://api.example.com/v1/chat/completions",
    ],
)
def test_an_address_that_hides_something_is_refused_and_not_repeated(url: str) -> None:
    message = refusal(base_url=url)
    assert "base_url" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "0.0.0.0", "x.localhost"],
)
def test_a_private_address_wants_to_be_meant(host: str) -> None:
    assert "needs `allow_private: true`" in refusal(base_url=f"http://{host}/v1")
    assert provider(base_url=f"http://{host}/v1", allow_private=True).allow_private


def test_a_secret_is_stripped_and_never_shown() -> None:
    found = provider(api_key=" sk-secret\n", headers={"API-Key": "also-secret"})
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == "sk-secret"
    assert found.headers["api-key"].get_secret_value() == "also-secret"
    assert "secret'" not in repr(found)
    assert "sk-secret" not in repr(found) + found.model_dump_json()


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "openai.key").write_text("sk-from-file\n")
    context = {"places": Places(tmp_path, tmp_path)}
    for text in ("file:openai.key", f"file:{tmp_path}/openai.key", "file:data/openai.key"):
        section = {"base_url": "https://x.example", "api_key": text}
        found = OpenAIProvider.model_validate(section, context=context)
        assert found.api_key is not None
        assert found.api_key.get_secret_value() == "sk-from-file"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"", "is empty"), (b" \n", "is empty"), (b"a\nb", "line break")],
    ids=["missing", "empty", "blank", "two lines"],
)
def test_a_secret_s_file_must_hold_one(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    assert message in refusal(api_key=f"file:{path}")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"api_key": ""}, "is blank"),
        ({"api_key": "   "}, "is blank"),
        ({"api_key": 12345}, "should be text"),
        ({"api_key": "sk-a\r\nx: y"}, "no HTTP header may carry"),
        ({"api_key": "sk-ü"}, "no HTTP header may carry"),
        ({"api_key": "gw-abc-def"}, "a key of this gateway, not of the provider"),
        ({"headers": {"x": ""}}, "is blank"),
        ({"headers": {"x y": "z"}}, "is not the name of a header"),
        ({"headers": {"Host": "z"}}, "the gateway sets `host` itself"),
        ({"headers": {"Transfer-Encoding": "z"}}, "the gateway sets `transfer-encoding` itself"),
        ({"api_key": "a", "headers": {"Authorization": "z"}}, "keep one"),
        ({"tls": {"verify": False}}, "certificates are always verified"),
        ({"preset": "opena1"}, "did you mean `openai`"),
        ({"max_connections": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(section: dict[str, Any], message: str) -> None:
    assert message in refusal(**section)


def model(*deployments: dict[str, Any], **rest: Any) -> Model:
    return Model.model_validate({"deployments": deployments, **rest})


def test_a_model_has_the_deployments_and_weights_that_it_says() -> None:
    found = model({"provider": "a", "model": "x", "weight": 9}, {"provider": "b", "model": "y"})
    assert found.deployments == (
        Deployment(provider="a", model="x", weight=9),
        Deployment(provider="b", model="y", weight=1),
    )
    assert found.timeouts == Timeouts(connect=2, first_byte=300, idle=120, total=900)


@pytest.mark.parametrize(
    ("deployments", "message"),
    [
        ([], "at least 1 item"),
        ([{"provider": "a", "model": "x", "weight": 0}], "all weights are 0"),
        ([{"provider": "a", "model": "x", "weight": -1}], "greater than or equal to 0"),
        ([{"provider": "a", "model": "x"}, {"provider": "a", "model": "x"}], "stands here twice"),
        ([{"provider": "a", "model": "x y"}], "no spaces"),
        ([{"provider": "a", "model": "x\ny"}], "no spaces, line breaks"),
        ([{"provider": "a", "model": "x\0"}], "control characters"),
        ([{"provider": "a", "model": "x*y"}], "may have one `\\*`, as its last"),
        ([{"provider": "a", "model": "x" * 201}], "1 to 200 characters"),
        ([{"provider": "a b", "model": "x"}], "letters, digits"),
    ],
    ids=["none", "zero", "negative", "twice", "space", "line break", "NUL", "star inside", "long", "label"],
)
def test_deployments_that_cannot_be_are_refused(deployments: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(*deployments)


@pytest.mark.parametrize("value", [0, -1, float("inf"), True, "30s"])
def test_a_timeout_is_a_number_of_seconds_that_ends(value: object) -> None:
    with pytest.raises(ValidationError):
        model({"provider": "a", "model": "x"}, timeouts={"idle": value})
