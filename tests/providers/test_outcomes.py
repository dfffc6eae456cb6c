"""What refusals mean, in the words in which providers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.providers.kinds import KINDS
from gateway.providers.outcomes import Outcome


def openai(message: str, type_: str | None = "invalid_request_error", code: str | None = None, **more: Any) -> Any:
    return {"error": {"message": message, "type": type_, "param": None, "code": code, **more}}


def anthropic(type_: str, message: str) -> Any:
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}


def google(code: int, status: str, message: str, reason: str | None = None) -> Any:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."


@pytest.mark.parametrize(
    ("kind", "status", "said", "outcome"),
    [
        # OpenAI and those that speak like it
        ("openai", 400, openai("Unknown parameter: 'x'."), "caller"),
        ("openai", 400, openai(LONG, code="context_length_exceeded"), "context_too_long"),
        ("openai", 400, openai("Your input exceeds the context window of this model."), "context_too_long"),
        ("openai", 400, openai("Your request was rejected.", code="content_policy_violation"), "content_filter"),
        ("openai", 400, openai("Invalid prompt: ...", code="invalid_prompt"), "content_filter"),
        ("openai", 401, openai("Incorrect API key provided", code="invalid_api_key"), "credentials"),
        ("openai", 403, openai("Country not supported"), "credentials"),
        ("openai", 404, openai("The model `x` does not exist", code="model_not_found"), "caller"),
        ("openai", 429, openai("Rate limit reached", "requests", "rate_limit_exceeded"), "rate_limited"),
        ("openai", 429, openai("You exceeded your quota", "insufficient_quota", "insufficient_quota"), "quota"),
        ("openai", 500, openai("The server had an error", "server_error"), "failed"),
        ("openai-compatible", 400, {"object": "error", "message": LONG, "type": "BadRequestError"}, "context_too_long"),
        ("openai-compatible", 400, openai("too long", "exceed_context_size_error"), "context_too_long"),
        ("openai-compatible", 400, openai("the maximum prompt length is 131072 but 140000"), "context_too_long"),
        (
            "openai-compatible",
            422,
            {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"},
            "context_too_long",
        ),
        ("openai-compatible", 402, openai("Insufficient Balance", "unknown_error"), "quota"),
        (
            "openai-compatible",
            403,
            {"error": {"code": 403, "message": "This model requires moderation, your input was flagged"}},
            "content_filter",
        ),
        ("openai-compatible", 413, openai("Request too large", "tokens", "rate_limit_exceeded"), "rate_limited"),
        ("openai-compatible", 422, {"detail": [{"loc": ["body"], "msg": "Extra inputs"}]}, "caller"),
        ("openai-compatible", 503, "upstream connect error, context window", "failed"),
        ("openai-compatible", 400, "prompt is too long", "context_too_long"),
        ("openai-compatible", 302, "", "failed"),
        ("openai-compatible", 200, openai(LONG), "ok"),
        # Azure
        (
            "azure",
            400,
            openai(
                "The response was filtered due to the prompt triggering the policy.",
                None,
                "content_filter",
                innererror={"code": "ResponsibleAIPolicyViolation"},
            ),
            "content_filter",
        ),
        ("azure-deployments", 404, openai("The API deployment does not exist", None, "DeploymentNotFound"), "caller"),
        ("azure", 401, {"error": {"code": "401", "message": "Access denied due to invalid key."}}, "credentials"),
        ("azure", 429, {"error": {"code": "429", "message": "Requests have exceeded the limit."}}, "rate_limited"),
        # Anthropic
        ("anthropic", 400, anthropic("invalid_request_error", "messages: at least one"), "caller"),
        (
            "anthropic",
            400,
            anthropic("invalid_request_error", "prompt is too long: 210266 tokens > 200000 maximum"),
            "context_too_long",
        ),
        (
            "anthropic",
            400,
            anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
            "context_too_long",
        ),
        (
            "anthropic",
            400,
            anthropic("invalid_request_error", "Output blocked by content filtering policy"),
            "content_filter",
        ),
        (
            "anthropic",
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
            "quota",
        ),
        ("anthropic", 401, anthropic("authentication_error", "invalid x-api-key"), "credentials"),
        ("anthropic", 402, anthropic("billing_error", "x"), "quota"),
        ("anthropic", 413, anthropic("request_too_large", "Request exceeds the maximum size"), "caller"),
        ("anthropic", 429, anthropic("rate_limit_error", "x"), "rate_limited"),
        ("anthropic", 529, anthropic("overloaded_error", "Overloaded"), "failed"),
        # Google
        ("gemini", 400, google(400, "INVALID_ARGUMENT", "Invalid value"), "caller"),
        (
            "gemini",
            400,
            google(
                400, "INVALID_ARGUMENT", "The input token count (3) exceeds the maximum number of tokens allowed (2)."
            ),
            "context_too_long",
        ),
        (
            "gemini",
            400,
            [google(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID")],
            "credentials",
        ),
        ("gemini", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"), "credentials"),
        (
            "gemini",
            400,
            google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            "credentials",
        ),
        ("gemini", 403, google(403, "PERMISSION_DENIED", "x"), "credentials"),
        ("gemini", 429, google(429, "RESOURCE_EXHAUSTED", "x"), "rate_limited"),
        ("gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded."), "failed"),
        ("gemini", 499, google(499, "CANCELLED", "x"), "failed"),
        ("vertex", 400, anthropic("invalid_request_error", "Prompt is too long"), "context_too_long"),
        ("vertex", 429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), "rate_limited"),
        # Bedrock without its header
        ("bedrock", 400, {"__type": "com.amazon#ServiceQuotaExceededException", "message": "x"}, "rate_limited"),
        ("bedrock", 403, {"Message": "User is not authorized"}, "credentials"),
    ],
)
def test_what_a_refusal_means(kind: str, status: int, said: Any, outcome: Outcome) -> None:
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    assert KINDS[kind].classify(status, body) == outcome


@pytest.mark.parametrize(
    ("status", "type_", "message", "outcome"),
    [
        (400, "ValidationException", "messages.0: x", "caller"),
        (400, "ValidationException", "Input is too long for requested model.", "context_too_long"),
        (
            400,
            "ValidationException",
            "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
            "context_too_long",
        ),
        (403, "AccessDeniedException", "You don't have access to the model", "credentials"),
        (403, "ExpiredTokenException", "The security token is expired", "credentials"),
        (403, "InvalidSignatureException", "Signature expired", "credentials"),
        (400, "IncompleteSignature", "x", "credentials"),
        (404, "ResourceNotFoundException", "x", "caller"),
        (408, "ModelTimeoutException", "x", "failed"),
        (424, "ModelErrorException", "x", "failed"),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", "rate_limited"),
        (429, "ModelNotReadyException", "x", "failed"),
        (400, "ServiceQuotaExceededException", "x", "rate_limited"),
        (500, "InternalServerException", "x", "failed"),
        (503, "ServiceUnavailableException", "x", "failed"),
    ],
)
def test_what_a_refusal_of_bedrocks_means(status: int, type_: str, message: str, outcome: Outcome) -> None:
    header = (b"x-amzn-errortype", f"{type_}:http://internal.amazon.com/coral/com.amazon.coral/".encode())
    body = json.dumps({"message": message}).encode()
    assert KINDS["bedrock"].classify(status, body, [(b"date", b"x"), header]) == outcome


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"[1]", b"null", b"{}", b'{"error":null}', b'{"error":{"details":[1],"message":7}}', b"\xff"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_body_is_the_status_counts(kind: str, body: bytes) -> None:
    found = [KINDS[kind].classify(status, body) for status in (204, 307, 400, 401, 402, 404, 408, 429, 500)]
    assert found == ["ok", "failed", "caller", "credentials", "quota", "caller", "failed", "rate_limited", "failed"]
