"""What a failure was, told by its status and its body."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BrokenReply, Unreachable, UpstreamError, UpstreamTimeout
from gateway.routing.causes import CONSEQUENCES, Cause, of_error, of_status

OPENAI_LONG = (
    b'{"error": {"message": "This model\'s maximum context length is 8192 tokens.", "type": "invalid_request_error",'
    b' "param": "messages", "code": "context_length_exceeded"}}'
)
ANTHROPIC_LONG = (
    b'{"type": "error", "error": {"type": "invalid_request_error",'
    b' "message": "prompt is too long: 213462 tokens > 200000 maximum"}}'
)
GEMINI_LONG = (
    b'{"error": {"code": 400, "status": "INVALID_ARGUMENT",'
    b' "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}'
)
AZURE_FILTER = (
    b'{"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI\'s content management'
    b' policy.", "type": null, "param": "prompt", "code": "content_filter", "status": 400,'
    b' "innererror": {"code": "ResponsibleAIPolicyViolation"}}}'
)
BEDROCK_LONG = b'{"message": "Input is too long for requested model."}'
OPENAI_QUOTA = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (200, b"", None),
        (302, b"", "broken"),
        (400, b'{"error": {"message": "temperature is too high", "code": "invalid_value"}}', None),
        (400, b"", None),
        (400, b"<html>", None),
        (400, b"the prompt is too long, says a proxy in plain text", "context_length"),
        (400, b'{"error": "maximum context length is 4096"}', "context_length"),
        (400, OPENAI_LONG, "context_length"),
        (400, ANTHROPIC_LONG, "context_length"),
        (400, GEMINI_LONG, "context_length"),
        (400, BEDROCK_LONG, "context_length"),
        (413, ANTHROPIC_LONG, "context_length"),
        (400, AZURE_FILTER, "content_filter"),
        (400, AZURE_FILTER.replace(b'"status": 400', b'"status": "x"'), "content_filter"),
        (403, b'{"error": {"code": "content_filter"}}', "content_filter"),
        (401, b"", "credentials"),
        (403, OPENAI_LONG, "credentials"),
        (402, b"", "quota"),
        (404, b"", None),
        (408, b"", "timeout"),
        (429, b"", "rate_limited"),
        (429, OPENAI_QUOTA, "quota"),
        (500, OPENAI_LONG, "server_error"),
        (503, b"", "server_error"),
        (529, b'{"type": "error", "error": {"type": "overloaded_error"}}', "server_error"),
    ],
)
def test_a_status_and_a_body(status: int, body: bytes, cause: Cause | None) -> None:
    assert of_status(status, body) == cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Unreachable("refused"), "unreachable"),
        (UpstreamTimeout("connect", 2.0), "unreachable"),
        (UpstreamTimeout("first_byte", 2.0), "timeout"),
        (UpstreamTimeout("idle", 2.0), "timeout"),
        (UpstreamTimeout("total", 2.0), "timeout"),
        (BrokenReply("reset"), "broken"),
        (UpstreamError("other"), "broken"),
    ],
)
def test_an_error_without_an_answer(error: UpstreamError, cause: Cause) -> None:
    assert of_error(error) == cause


@given(st.integers(100, 599), st.binary(max_size=200) | st.text().map(lambda text: f'{{"error": "{text}"}}'.encode()))
def test_no_body_is_too_strange(status: int, body: bytes) -> None:
    assert of_status(status, body) in (*get_args(Cause), None)


def test_a_body_nested_without_end_is_text() -> None:
    assert of_status(400, b'{"error": ' + b"[" * 100_000) is None


def test_every_cause_has_a_consequence() -> None:
    assert set(CONSEQUENCES) == set(get_args(Cause))


def test_what_the_caller_sent_says_nothing_about_the_deployment() -> None:
    assert {cause for cause, found in CONSEQUENCES.items() if not found.counts} == {
        "rate_limited",
        "quota",
        "context_length",
        "content_filter",
    }
