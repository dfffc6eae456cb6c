"""The errors of the gateway: each has an HTTP status, a type in OpenAI's words and a code that never changes.

    GatewayError
    |- Refusal              the caller's to mend
    |  |- InvalidRequest    400  the body or a parameter
    |  |- Unauthenticated   401  the key
    |  |- Forbidden         403  the key is good, but not for this
    |  |- NotFound          404  a model, a path, an object
    |  |- MethodNotAllowed  405
    |  |- Conflict          409  the same idempotency key again
    |  |- TooLarge          413  the body
    |  `- Unavailable       503  this process, for now; says when to try again
    |- UpstreamError        502  the provider's
    |  |- Unreachable       502  no connection: DNS, refused, TLS; nothing was sent
    |  |- UpstreamTimeout   504  connect, first byte, idle or total
    |  `- BrokenReply       502  reset, truncated, malformed, over a cap
    |- ClientGone           499  nobody is there to read this
    `- ConfigError               ours, at load: every fault with its file and line

A message says what was wrong, where, and what would be right. Nothing in it comes from a secret, and provider
addresses stay out of it: it goes to callers.
"""

from __future__ import annotations

from dataclasses import dataclass


class GatewayError(Exception):
    """An error with an answer: `status` (HTTP), `type` and `code` (stable), `param` (the field, if one is to blame)."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code


class Refusal(GatewayError):
    """The caller asked for something that it can mend."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidRequest(Refusal):
    """The body, a header or a parameter is not what the endpoint takes."""


class Unauthenticated(Refusal):
    """No key, or one that is not known, revoked or expired."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(Refusal):
    """The key is good, but does not cover what was asked for."""

    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(Refusal):
    """No such model, path or object, or not one that this key may know of."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class MethodNotAllowed(Refusal):
    """The path exists; the method does not."""

    status = 405
    code = "method_not_allowed"


class Conflict(Refusal):
    """The same idempotency key is at work, or was used for another body."""

    status = 409
    type = "idempotency_error"
    code = "idempotency_conflict"


class TooLarge(Refusal):
    """The body, its headers or a part of it is over the limit that the message names."""

    status = 413
    code = "body_too_large"


class Unavailable(GatewayError):
    """This process cannot take the call now; `retry_after_s` says when to try again."""

    status = 503
    type = "server_error"
    code = "unavailable"


class UpstreamError(GatewayError):
    """The provider did not answer as it should have. `sent` tells whether it may have seen the request."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"

    def __init__(self, message: str, *, sent: bool = True, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.sent = sent


class Unreachable(UpstreamError):
    """No connection could be made; nothing was sent."""

    code = "upstream_unreachable"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, sent=False, code=code)


class UpstreamTimeout(UpstreamError):
    """A deadline passed: `which` is `connect`, `first_byte`, `idle` or `total`."""

    status = 504
    type = "timeout_error"
    code = "upstream_timeout"

    def __init__(self, which: str, limit_s: float) -> None:
        super().__init__(f"The provider exceeded the {which} timeout of {limit_s:g} s.", sent=which != "connect")
        self.which = which


class BrokenReply(UpstreamError):
    """The reply was reset, cut short, malformed or over a cap."""

    code = "upstream_broken_reply"


class ClientGone(GatewayError):
    """The client left before its answer was complete. Never sent, only recorded."""

    status = 499
    type = "client_error"
    code = "client_closed_request"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file: where, what, and what would be right."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


class ConfigError(GatewayError):
    """Files that cannot be loaded, with every fault found in them."""

    code = "config_error"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
