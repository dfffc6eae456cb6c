"""What a caller is told whose call does not fit: which budget, its cap, how much is used, and when to come back."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.errors import Forbidden, Refusal
from gateway.limits.lease import Lease, Rate
from gateway.limits.rules import Limit
from gateway.limits.windows import NEVER
from gateway.model import price


class RateLimited(Refusal):
    """The call would go over a limit; `retry_after_s` says when to try again, None if waiting will not help."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


def refusal(lease: Lease, units: int, now: float, second: int) -> RateLimited:
    """Why `units` more do not fit. `now` in epoch seconds, `second` by the clock of rates."""
    limit = lease.account.limit
    if limit.kind == "usd":
        return _spent(lease, units, now)
    subject = lease.account.subject
    if limit.kind == "concurrency":
        return RateLimited(
            f"{subject} may make {limit.cap} calls at once, and as many are at work. Try again when one has ended.",
            code="concurrency_exceeded",
            retry_after_s=1,
        )
    what = "requests" if limit.kind == "rpm" else "tokens"
    if units > limit.cap:
        return RateLimited(
            f"This call may take {units} {what}, more than the {limit.cap} a minute of {subject}. Ask for fewer.",
            code="rate_limit_exceeded",
        )
    wait_s = lease.wait_s(units, second) if isinstance(lease, Rate) else 1
    return RateLimited(
        f"{subject} may use {limit.cap} {what} a minute; {max(limit.cap - lease.used(), 0)} are left, and this call "
        f"may take {units}. Try again in {wait_s} s.",
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
    )


def unpriced(subject: str, limit: Limit, model: str) -> Forbidden:
    """Why a model without a price may not be used under a budget of dollars."""
    return Forbidden(
        f"The model {model[:100]!a} has no price, and {subject} has a budget of {dollars(limit.cap)} "
        f"{_per(limit)}. Give it a price in prices.yaml, or allow it with `allow_unpriced`.",
        code="model_unpriced",
        param="model",
    )


def dollars(nano: int) -> str:
    """Nano-dollars as `$12.34`; fractions of a cent as far as they go."""
    return f"{'-' if nano < 0 else ''}${price.dollars(abs(nano))}"


def moment(at: int) -> str | None:
    """Epoch seconds as `2026-12-01T00:00:00Z`; None where a window never ends."""
    return None if at >= NEVER else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spent(lease: Lease, units: int, now: float) -> RateLimited:
    limit = lease.account.limit
    until = moment(lease.ends)
    if units > limit.cap:
        return RateLimited(
            f"This call may cost {dollars(units)}, more than the whole budget of {lease.account.subject}, which is "
            f"{dollars(limit.cap)} {_per(limit)}. Ask for fewer tokens with `max_tokens`: an answer without a limit "
            "counts as the longest that its model writes.",
            code="budget_exceeded",
        )
    opens = f"It starts anew at {until}." if until else "It does not start anew; ask for a larger one."
    return RateLimited(
        f"The budget of {lease.account.subject} is {dollars(limit.cap)} {_per(limit)}; {dollars(lease.used())} are "
        f"spent or held, and this call may cost {dollars(units)}. {opens}",
        code="budget_exceeded",
        retry_after_s=max(int(lease.ends - now) + 1, 1) if until else None,
    )


def _per(limit: Limit) -> str:
    return "in all" if limit.period == "total" else f"a {limit.period}"
