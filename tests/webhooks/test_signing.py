"""Signatures: the specification's own vector, rotation, and what a secret may look like."""

from __future__ import annotations

import base64

import pytest

from gateway.webhooks.signing import parse_secret, sign

# Source: the test vectors of the reference libraries, https://github.com/standard-webhooks/standard-webhooks
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_vector_of_the_specification_is_met() -> None:
    assert sign([parse_secret(SECRET)], *VECTOR) == SIGNATURE


def test_two_secrets_give_two_signatures_the_newest_first() -> None:
    first, second = sign([b"n" * 24, parse_secret(SECRET)], *VECTOR).split(" ")
    assert second == SIGNATURE
    assert first == sign([b"n" * 24], *VECTOR)


def test_a_secret_is_taken_with_and_without_its_prefix_and_padding() -> None:
    encoded = base64.b64encode(b"k" * 32).decode()
    assert {parse_secret(one) for one in (encoded, f"whsec_{encoded}", encoded.rstrip("="))} == {b"k" * 32}


@pytest.mark.parametrize("text", ["hunter2!", "whsec_", "whsec_c2hvcnQ=", base64.b64encode(b"k" * 65).decode()])
def test_a_poor_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_secret(text)
    assert text == "whsec_" or text not in str(caught.value)
