"""The attempts of one call, as a machine that is told what happened and says what to try: no clock, no IO.

It holds together what the other modules of this folder decide, so that whoever does the IO cannot forget a part: the
order of the deployments, what follows from a failure, the budget, the breakers and the calls in flight, and the trail
of choices for the record. Every leg that is handed out is ended by exactly one of its `ended` (after `answered`),
`dropped` and `outrun`, and the walk's `skip`, `lost` and `failed`.

    walk = Walk(order, "gpt", board, budget, terms, deadline)
    while (leg := walk.next(now)) is not None:
        ... send; on an answer: leg.answered(first_byte_s, now), and leg.ended(total_s, now) after its last byte
        step = walk.failed(leg, cause, now, chance, retry_after_s)
        if step.where == "stop": raise the attempt's error
        ... sleep step.wait_s

With a hedge there are two legs: `other = walk.hedge(now, after_s)`. The one that fails while the other still runs is
`walk.lost(leg, cause, now)`; only the last one's failure asks what to do. The one that is not needed any more is
`outrun`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import msgspec

from gateway.errors import Forbidden, GatewayError, Unavailable
from gateway.routing.causes import CONSEQUENCES, Cause
from gateway.routing.choice import Choice, Detail, Left, Reason, Taken
from gateway.routing.choose import Order, wait_s
from gateway.routing.health import Board, Health
from gateway.routing.options import Option
from gateway.routing.retry import Budget, Failed, Step, Terms, after


class Target(msgspec.Struct, frozen=True, gc=False):
    """One attempt: the deployment, the name under which it was found, and why it is tried."""

    option: Option
    route: str
    reason: Taken


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Names to try after a failure: `by_cause` where the cause has its own, else `general`.

    `general` is for failures of the provider. A prompt that is too long and an answer that was filtered go only where
    they are sent by name.
    """

    general: tuple[str, ...] = ()
    by_cause: Mapping[Cause, tuple[str, ...]] | None = None

    def after(self, cause: Cause) -> tuple[str, ...]:
        """The names to try after `cause`."""
        named = (self.by_cause or {}).get(cause)
        if named is not None:
            return named
        return self.general if CONSEQUENCES[cause].others else ()


Find = Callable[[str], Order | None]
"""A fallback's name to its deployments in order, for the same call: same residency, tags and session."""


class Leg:
    """One attempt under way."""

    __slots__ = ("_health", "_round", "is_over", "rank", "target")

    def __init__(self, target: Target, rank: int, health: Health, round: int) -> None:
        self.target = target
        self.rank = rank
        self.is_over = False
        self._health = health
        self._round = round
        health.in_flight += 1

    def __repr__(self) -> str:
        return f"<Leg {self.rank} at {self.target.option.id}>"

    def answered(self, first_byte_s: float, now: float) -> None:
        """It brought its first byte. It stays in flight until it has ended."""
        self._health.breaker.passed(self._round, now)
        self._health.latency.began(first_byte_s, now)

    def ended(self, total_s: float, now: float) -> None:
        """Its answer is whole."""
        self._health.latency.ended(total_s, now)
        self._end()

    def dropped(self, now: float) -> None:
        """It ended without a verdict on the deployment: the client left, or had asked for something that is wrong."""
        self._health.breaker.dropped(self._round, now)
        self._end()

    def outrun(self, waited_s: float, now: float) -> None:
        """The other leg answered first. What it had waited counts as its time, which was longer still: a percentile
        of the fast ones alone would make every hedge earlier than the one before."""
        self._health.latency.began(waited_s, now)
        self.dropped(now)

    def verdict(self, cause: Cause, now: float, rest_s: float | None) -> None:
        """It failed: tell the breaker, and let the deployment rest if it asked for that."""
        follows = CONSEQUENCES[cause]
        if follows.counts:
            self._health.breaker.failed(self._round, now)
        else:
            self._health.breaker.dropped(self._round, now)
        if follows.cools and rest_s is not None:
            self._health.cool(now + rest_s)
        self._end()

    def is_blocked(self, now: float) -> bool:
        """Whether its deployment takes no call at `now`."""
        return self._health.blocked(now) is not None

    def _end(self) -> None:
        if self.is_over:
            raise RuntimeError(f"{self!r} has ended before")
        self.is_over = True
        self._health.in_flight -= 1


class Walk:
    """One call's way through its deployments. `now` and `deadline` are monotonic seconds."""

    __slots__ = (
        "_attempts",
        "_began",
        "_board",
        "_budget",
        "_deadline",
        "_fallbacks",
        "_find",
        "_rest",
        "_seen",
        "_terms",
        "_tried",
        "choices",
        "shown",
    )

    def __init__(
        self,
        order: Order,
        route: str,
        board: Board,
        budget: Budget,
        terms: Terms,
        deadline: float,
        *,
        fallbacks: Fallbacks | None = None,
        find: Find | None = None,
    ) -> None:
        self._rest = _targets(order, route)
        self._board = board
        self._budget = budget
        self._terms = terms
        self._deadline = deadline
        self._fallbacks = fallbacks
        self._find = find
        self._seen: tuple[str, ...] = (route,)
        self._began = False
        self._attempts = 0
        self._tried = 0
        self.shown = False
        """A byte has gone to the client: set by whoever sent it."""
        self.choices: list[Choice] = []
        if order.left:
            self._pass_over(order, route)

    def next(self, now: float) -> Leg | None:
        """The attempt to make now, which has entered its breaker; None if nobody is left."""
        if not self._began:
            self._began = True
            self._budget.called(now)
        while self._rest:
            leg = self._enter(self._rest[0], "retry" if self._tried else self._rest[0].reason, now)
            if leg is not None:
                self._tried += 1
                return leg
            self._rest.pop(0)
            self._tried = 0
        return None

    def skip(self, leg: Leg, why: Left, now: float) -> None:
        """Nothing was sent: none of its keys has room, or the deployment is full. It was no attempt; `next` goes on."""
        leg.dropped(now)
        self._attempts -= 1
        option = leg.target.option
        self.choices = [one for one in self.choices if one.rank != leg.rank]
        self.choices.append(Choice(option.provider, option.model, leg.target.route, 0, why))
        self._rest = self._after("rate_limited", now)
        self._tried = 0

    def hedge(self, now: float, after_s: float) -> Leg | None:
        """A second leg, `after_s` after the first; None if there is nobody for it, or no budget.

        Its deployment is then used up: it is not tried again when both legs fail.
        """
        if self.shown or self._attempts >= self._terms.attempts:
            return None
        for at, target in enumerate(self._rest[1:], 1):
            if not self._is_blocked(target.option.id, now):
                if not self._budget.spend(now):
                    return None
                del self._rest[at]
                return self._enter(target, "hedge", now, after_s=round(after_s, 3))
        return None

    def lost(self, leg: Leg, cause: Cause, now: float, rest_s: float | None = None) -> None:
        """`leg` failed while another one runs: nothing is to be decided yet. `rest_s` as for `failed`."""
        leg.verdict(cause, now, rest_s)
        self._explain(leg.rank, {"cause": cause, "then": "other_leg"})

    def failed(
        self,
        leg: Leg,
        cause: Cause,
        now: float,
        chance: float,
        retry_after_s: float | None = None,
        *,
        cool: bool = True,
    ) -> Step:
        """`leg` failed and no other one runs: what to do. `cool` False: a key rests, not the deployment (`keys.py`)."""
        leg.verdict(cause, now, retry_after_s if cool else None)
        rest = self._after(cause, now)
        failed = Failed(cause, self._tried, self._attempts, not rest, self._deadline - now, retry_after_s, self.shown)
        step = after(failed, self._budget, self._terms, now, chance)
        if step.where == "again" and self._is_blocked(self._rest[0].option.id, now + step.wait_s):
            step = Step("stop", "circuit")
        if step.where == "next":
            self._rest = rest
            self._tried = 0
        details: dict[str, Detail] = {"cause": cause, "then": step.where, "why": step.why}
        if step.wait_s:
            details["wait_s"] = round(step.wait_s, 3)
        self._explain(leg.rank, details)
        return step

    def _enter(self, target: Target, reason: Taken, now: float, **details: Detail) -> Leg | None:
        """Begin an attempt, unless its deployment has been blocked since the order was made."""
        option = target.option
        health = self._board.of(option.id)
        round = health.breaker.enter(now) if now >= health.cooled_until else None
        if round is None:
            why: Reason = health.blocked(now) or "circuit_open"
            self.choices.append(Choice(option.provider, option.model, target.route, 0, why))
            return None
        self._attempts += 1
        self.choices.append(Choice(option.provider, option.model, target.route, self._attempts, reason, details))
        return Leg(target, self._attempts, health, round)

    def _after(self, cause: Cause, now: float) -> list[Target]:
        """Who may be tried after `cause` and is not blocked: the others of the name, else its fallbacks."""
        rest = self._rest[1:] if CONSEQUENCES[cause].others else []
        rest = [one for one in rest if not self._is_blocked(one.option.id, now)]
        if rest or self.shown or self._fallbacks is None or self._find is None:
            return rest
        for name in self._fallbacks.after(cause):
            if name not in self._seen and (order := self._find(name)) is not None:
                self._seen += (name,)
                self._pass_over(order, name)
                rest += [Target(one, name, "fallback") for one in order.options]
        return [one for one in rest if not self._is_blocked(one.option.id, now)]

    def _is_blocked(self, id: str, now: float) -> bool:
        found = self._board.known.get(id)
        return found is not None and found.blocked(now) is not None

    def _pass_over(self, order: Order, route: str) -> None:
        for option, why in order.left:
            self.choices.append(Choice(option.provider, option.model, route, 0, why))

    def _explain(self, rank: int, details: dict[str, Detail]) -> None:
        """Add to an attempt's choice how it failed and what was decided on that."""
        for at, one in enumerate(self.choices):
            if one.rank == rank:
                more = one.details | details
                self.choices[at] = Choice(one.provider, one.model, one.route, rank, one.reason, more)


def nobody(order: Order, model: str, board: Board, now: float) -> GatewayError:
    """What to answer when no deployment of `model` is left: 403 if none may serve the call, 503 if none can now."""
    wait = wait_s(order, board.known, now)
    if wait is None:
        message = f"No deployment of `{model}` may serve this call: its team's regions or providers, or a rule for its"
        return Forbidden(f"{message} tags, exclude all of them.", code="no_allowed_deployment", param="model")
    message = f"No deployment of `{model}` can take a call now: all have failed of late or asked for a rest."
    return Unavailable(message, code="no_deployment_available", retry_after_s=max(ceil(wait), 1))


def _targets(order: Order, route: str) -> list[Target]:
    if len(order.options) == 1:
        return [Target(order.options[0], route, order.reasons[0])]
    return [Target(option, route, reason) for option, reason in zip(order.options, order.reasons, strict=True)]
