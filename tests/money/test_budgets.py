"""Budgets over HTTP on four workers: never over a cap, all of it can be spent, and nothing stays held.

One gateway serves the whole file; every test has a team, and with it budgets, of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway_process import Gateway, Provider, eventually, provider, running
from tests.money.books import INPUT, OUTPUT, Books, check_equal, most_at_once, written
from tests.money.callers import Answer, Caller, Leave, chat

WORKERS = 4
NANO = 1_000_000_000

SCRIPT = """
models: ["tiny*", free]
replies:
  - {when: {contains: together}, text: " again again", usage: {input_tokens: 50}, delay: {head: 1.5}}
  - {when: {contains: "a while"}, text: " again again", usage: {input_tokens: 50}, delay: {head: 0.5}}
  - {when: {contains: "it fails"}, error: {status: 500}}
  - {when: {contains: "and on"}, text: " again again", usage: {input_tokens: 50}, delay: {first: 0.2, chunk: 0.1}}
  - {when: {contains: "many"}, text: " again again", usage: {input_tokens: 250}}
  - {when: {contains: overrun}, text: " again", usage: {input_tokens: 7, output_tokens: 5000}}
  - {text: " again again", usage: {input_tokens: 50}}
"""

CAP = 20_000_000
"""Nano-dollars, the cap of the great race: some 100 of its 500 calls fit at once."""
SPENT = 50 * INPUT + 2 * OUTPUT
"""What a call of the script costs. What is held for it is more: every byte of its body may be a token."""

BUDGETS = """
budgets:
  - {scope: "team:race", usd: 0.02/total}
  - {scope: "team:spare", usd: 0.1/total}
  - {scope: "team:over", usd: 0.001/total}
  - {scope: "team:team", usd: 0.0004/day}
  - {scope: "project:dims/project", usd: 0.0004/month}
  - {scope: "model:tiny-model", usd: 0.0004/total}
  - {scope: "user:greedy", usd: 0.0004/day}
  - {scope: "user:each-*", usd: 0.0004/day}
  - {scope: "tag:feature=chat", usd: 0.0004/month}
  - {scope: "team:rpm", rpm: 3}
  - {scope: "team:tpm", tpm: 1000}
  - {scope: "team:seats", concurrency: 2}
  - {scope: "team:warned", usd: 0.001/day, warn_at: 0.5}
  - {scope: "team:unpriced", usd: 1/day}
  - {scope: "team:lenient", usd: 1/day, allow_unpriced: true}
"""
MODELS = """\
  tiny-model: {deployments: [{provider: up, model: tiny-model}]}
  free: {deployments: [{provider: up, model: free}]}
"""
TEAMS = (
    *("race", "spare", "over", "team", "rpm", "tpm", "seats", "warned", "unpriced", "lenient"),
    *("model", "user", "tag"),
)


@dataclass(frozen=True)
class Place:
    """A gateway with budgets, a key of each team, and the books."""

    gateway: Gateway
    up: Provider
    books: Books
    keys: dict[str, str]

    def caller(self, team: str) -> Caller:
        """A caller with the team's key."""
        return Caller(self.gateway.port, self.keys[team])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("budgets")
    with (
        provider(folder, SCRIPT) as up,
        running(folder, "--workers", str(WORKERS), config=written(folder, up, models=MODELS, more=BUDGETS)) as gateway,
    ):
        keys = {team: make_key(gateway, {"team": team}) for team in TEAMS}
        keys["project"] = make_key(gateway, {"team": "dims", "project": "project"})
        keys["own"] = make_key(gateway, {"team": "own", "budget": "0.0004/day"})
        await_keys(gateway, list(keys.values()))
        yield Place(gateway, up, Books.of(gateway, up), keys)


def make_key(gateway: Gateway, spec: dict[str, Any]) -> str:
    made = gateway.admin("POST", "/admin/v1/keys", json=spec)
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


def await_keys(gateway: Gateway, keys: list[str]) -> None:
    """Wait until the last key works wherever one gets to."""

    def works() -> bool:
        with httpx.Client(base_url=gateway.url, trust_env=False) as client:
            head = {"authorization": f"Bearer {keys[-1]}"}
            return client.get("/v1/models", headers=head).status_code == 200

    for _ in range(5 * WORKERS):
        eventually(works)


async def _all(calls: list[Any]) -> list[Answer]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]


async def race(place: Place, calls: int) -> list[Answer]:
    """So many calls of the team `race` at the same moment."""
    caller = place.caller("race")
    return await _all([caller.post(chat("all together", max_tokens=2, user="race")) for _ in range(calls)])


async def spend(caller: Caller, **more: Any) -> Answer:
    """Small calls, twenty at a time, until none is let in for as long as leases may lie idle; the last refusal."""
    refused = Answer()
    idle_since = 0.0
    clock = asyncio.get_running_loop().time
    while not idle_since or clock() - idle_since < 1.2:
        answers = await _all([caller.post(chat(max_tokens=2, **more)) for _ in range(20)])
        assert {answer.status for answer in answers} <= {200, 429}
        refusals = [answer for answer in answers if answer.status == 429]
        refused = refusals[-1] if refusals else refused
        if len(refusals) < len(answers):
            idle_since = 0.0
        else:
            idle_since = idle_since or clock()
            await asyncio.sleep(0.3)
    return refused


async def test_500_parallel_calls_on_4_workers_never_exceed_the_cap_and_all_of_it_can_be_spent(place: Place) -> None:
    answers = await race(place, 500)
    by_status = Counter(answer.status for answer in answers)
    assert set(by_status) == {200, 429}
    assert {answer.code() for answer in answers if answer.status == 429} == {"budget_exceeded"}
    await asyncio.to_thread(place.books.closed)
    rows = place.books.of_user("race")
    admitted = [row for row in rows if row.state != "void"]
    assert len(admitted) == by_status[200]
    # They were held together: the provider let none of them go before the last one had been let in or refused.
    assert sum(row.reservation.held_nano or 0 for row in admitted) <= CAP
    assert most_at_once(rows) <= CAP

    refused = await spend(place.caller("race"), user="race")
    assert "team:race" in refused.json()["error"]["message"]
    assert "$0.02" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers, "a total does not start anew"
    rows = place.books.of_user("race")
    spent = sum(row.settlement.cost_nano or 0 for row in rows if row.settlement is not None)
    assert 0.95 * CAP <= spent <= CAP
    assert most_at_once(rows) <= CAP
    budget = (await asyncio.to_thread(place.books.idle, "team:race usd/total"))["team:race usd/total"]
    assert (budget.spent, budget.held, budget.overrun, budget.lost) == (spent, 0, 0, 0)


@pytest.mark.slow
async def test_the_race_again_and_again_with_calls_that_fail_and_clients_that_leave(place: Place) -> None:
    caller, chance = place.caller("spare"), random.Random(11)
    for _ in range(10):
        calls = []
        for _ in range(500):
            content = chance.choice(("a while", "a while", "it fails", "and on"))
            leave = Leave(seconds=chance.random()) if chance.random() < 0.3 else None
            body = chat(content, max_tokens=2, user="spare", stream=content == "and on")
            calls.append(caller.post(body, leave=leave))
        await _all(calls)
        await asyncio.sleep(0.3)
    await spend(caller, user="spare")
    await asyncio.to_thread(place.books.closed)
    rows = place.books.of_user("spare")
    spent = sum(row.settlement.cost_nano or 0 for row in rows if row.settlement is not None)
    assert {row.state for row in rows} == {"settled", "estimated", "void"}
    assert most_at_once(rows) <= 100_000_000
    assert 95_000_000 <= spent <= 100_000_000
    budget = (await asyncio.to_thread(place.books.idle, "team:spare usd/total"))["team:spare usd/total"]
    assert (budget.spent, budget.held, budget.overrun) == (spent, 0, 0)


async def test_a_provider_that_bills_over_the_ceiling_is_booked_in_full_and_seen(place: Place) -> None:
    caller = place.caller("over")
    answer = await caller.post(chat("overrun", max_tokens=10))
    assert answer.status == 200
    (attempt,) = place.books.request(answer.id)
    check_equal(attempt, place.books.bill()[f"{answer.id}-1"])
    assert attempt.settlement is not None and attempt.settlement.cost_nano == 7 * INPUT + 5000 * OUTPUT
    assert attempt.reservation.held_nano is not None
    beyond = attempt.settlement.cost_nano - attempt.reservation.held_nano
    budget = (await asyncio.to_thread(place.books.idle, "team:over usd/total"))["team:over usd/total"]
    assert (budget.spent, budget.overrun) == (attempt.settlement.cost_nano, beyond)
    assert place.gateway.metric("gateway_budget_overruns_total") == 1
    assert place.gateway.metric("gateway_budget_overrun_usd_total") == pytest.approx(beyond / NANO)
    for _ in range(2 * WORKERS):
        assert (await caller.post(chat())).code() == "budget_exceeded"


DIMENSIONS = {
    "key": ("own", {}, {}, "key:", "day"),
    "team": ("team", {}, {}, "team:team", "day"),
    "project": ("project", {}, {}, "project:dims/project", "month"),
    "model": ("model", {"model": "tiny-model"}, {}, "model:tiny-model", "total"),
    "user": ("user", {"user": "greedy"}, {}, "user:greedy", "day"),
    "user pattern": ("user", {"user": "each-one"}, {}, "user:each-one", "day"),
    "tag": ("tag", {}, {"x-gateway-tags": "feature=chat"}, "tag:feature=chat", "month"),
}


@pytest.mark.parametrize("dimension", DIMENSIONS)
async def test_each_dimension_has_budgets_and_a_refusal_names_it(place: Place, dimension: str) -> None:
    team, more, headers, named, period = DIMENSIONS[dimension]
    caller = place.caller(team)
    body = {**chat(max_tokens=2), **more}
    answers = [await caller.post(body, headers=headers) for _ in range(10)]
    served = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert 1 <= len(served) <= 400_000 // SPENT and refused
    for answer in refused:
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("budget_exceeded", "rate_limit_error")
        assert named in error["message"]
        assert "$0.0004" in error["message"]
        wait = answer.headers.get("retry-after")
        assert wait is None if period == "total" else wait is not None and 0 < int(wait) <= 31 * 86_400 + 1
    if more or headers:
        assert (await caller.post(chat(max_tokens=2))).status == 200, "calls that name something else fit"


async def test_requests_a_minute(place: Place) -> None:
    caller = place.caller("rpm")
    answers = [await caller.post(chat()) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    for left, answer in zip((2, 1, 0), answers, strict=False):
        assert answer.headers["x-ratelimit-limit-requests"] == "3"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
        assert 0 < int(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 61
    assert answers[3].code() == "rate_limit_exceeded"
    assert "team:rpm" in answers[3].json()["error"]["message"]
    assert 0 < int(answers[3].headers["retry-after"]) <= 61


async def test_tokens_a_minute(place: Place) -> None:
    caller = place.caller("tpm")
    body = chat("many " + "x" * 200, max_tokens=100)
    # Each holds some 400 tokens and takes 252. What it did not take goes back to all workers within some two seconds.
    served = [await _served(caller, body) for _ in range(3)]
    assert [answer.headers["x-ratelimit-limit-tokens"] for answer in served] == ["1000"] * 3
    left = [int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in served]
    assert 500 < left[0] < 700 and left == sorted(left, reverse=True)
    refused = await caller.post(body)
    assert (refused.status, refused.code()) == (429, "rate_limit_exceeded")
    assert "team:tpm" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 61
    too_large = await caller.post(chat(max_tokens=1000))
    assert (too_large.status, too_large.code()) == (429, "rate_limit_exceeded")
    assert "retry-after" not in too_large.headers, "waiting does not help"


async def _served(caller: Caller, body: dict[str, Any], within_s: float = 5.0) -> Answer:
    """The first answer that is no refusal."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + within_s
    answer = await caller.post(body)
    while answer.status == 429 and clock() < ends_at:
        await asyncio.sleep(0.1)
        answer = await caller.post(body)
    assert answer.status == 200
    return answer


async def test_calls_at_once(place: Place) -> None:
    caller = place.caller("seats")
    answers = await _all([caller.post(chat("a while")) for _ in range(6)])
    assert Counter(answer.status for answer in answers) == {200: 2, 429: 4}
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.code() == "concurrency_exceeded"
    assert "team:seats" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
    # a seat that a worker keeps for a moment is out of the others' reach
    await _served(caller, chat())


async def test_near_the_cap_replies_say_so(place: Place) -> None:
    caller = place.caller("warned")
    answers = [await caller.post(chat(max_tokens=2)) for _ in range(20)]
    served = [answer for answer in answers if answer.status == 200]
    assert "x-gateway-budget-warning" not in served[0].headers
    warning = served[-1].headers["x-gateway-budget-warning"]
    assert warning.startswith("team:warned usd/day: $0.000")
    assert " of $0.001, starts anew at 20" in warning


async def test_a_model_without_a_price_is_refused_under_a_budget_of_dollars_unless_allowed(place: Place) -> None:
    before = len(place.up.bill())
    refused = await place.caller("unpriced").post(chat(model="free"))
    assert (refused.status, refused.code()) == (403, "model_unpriced")
    assert "free" in refused.json()["error"]["message"]
    assert len(place.up.bill()) == before, "it was not dialled"


async def test_an_unpriced_call_that_is_allowed_has_an_unknown_cost_and_counts_nothing(place: Place) -> None:
    answer = await place.caller("lenient").post(chat(model="free"))
    assert answer.status == 200
    assert "x-gateway-cost-usd" not in answer.headers
    (attempt,) = place.books.request(answer.id)
    assert attempt.settlement is not None
    assert (attempt.state, attempt.settlement.cost_nano) == ("settled", None)
    assert (attempt.settlement.input_tokens, attempt.settlement.output_tokens) == (50, 2)
    assert place.books.budgets()["team:lenient usd/day"].spent <= 1, (
        "nothing, but for the nano-dollar that keeps its place"
    )
