"""Kills real gateways under load, and holds their ledger against what the provider says it has billed.

    python -m loadtest.kill_gateway --kills 1000 [--seed N] [--gateways 2] [--folder DIR] [--out FILE]

Each gateway is a real `gateway serve` on its own data folder, with callers (JSON and streams, some of which leave
early, some on models whose provider fails, so that another is asked), and a stand-alone scripted provider that is never
killed and writes down what it bills. The gateway dies by SIGKILL: at the named points of `crash/points.py`, at random
times, while it starts and recovers, while it drains, as one of two workers, as their supervisor. A successor starts on
the same folder. When it is ready:

- every call in the provider's bill has a reservation of the same id (I1);
- nothing of the dead process is open.

And in the end, of every attempt (I2, I3):

- one reservation and exactly one end; none was sent more often than the ledger says;
- what is settled is what was billed, to the nano-dollar; what is estimated is flagged, and, where the answer was whole,
  the estimate that was reckoned beforehand; void was never billed; what was billed and lost its process is `unknown`,
  under a ceiling that covers it;
- settled + estimated + the bill of the unknown is the bill, exactly, but for what estimates are above it (six tokens a
  prompt, by the published rule) and below it (what was generated and never arrived, of answers that were cut short);
- no budget holds anything, and none has counted less than the ledger.

Prints its seed, and whatever the gateways logged as errors. The same seed and number of gateways make the same plan,
though not the same interleaving.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadtest.crash.campaign import Campaign, Tally
from loadtest.crash.plan import plan
from loadtest.crash.sabotage import PROMISES
from loadtest.crash.world import HANG_UPS, KINDS, Kind


async def run(
    folder: Path,
    kills: int,
    seed: int,
    gateways: int = 2,
    told: Callable[[], None] = lambda: None,
    kinds: Sequence[Kind] = KINDS,
    sabotage: str = "",
) -> Tally:
    """`kills` kills, shared by `gateways` side by side in `folder`. Raises `CampaignError`.

    `kinds` are the calls that are made. `sabotage` is for tests of this harness: see `crash/sabotage.py`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["loadtest.crash.child", "loadtest.crash.campaign", "rich.progress"])
    work = []
    for at in range(gateways):
        draw = Random(f"{seed}/{at}")
        share = kills // gateways + (at < kills % gateways)
        lives = plan(draw, share, sabotage)
        work.append(Campaign(folder / f"gateway-{at}", draw, context, told, kinds).run(lives))
    total = Tally()
    for tally in await asyncio.gather(*work):
        total.add(tally)
    return total


def bound(kills: int) -> float:
    """The rule of three: no fault in n independent kills puts the rate under 3/n, with 95 % confidence."""
    return 3 / max(1, kills)


def report(tally: Tally) -> str:
    """For people."""
    points = ", ".join(f"{point} {count}" for point, count in sorted(tally.by_point.items()))
    states = ", ".join(f"{state} {count}" for state, count in sorted(tally.balance.states.items()))
    books = tally.balance
    lines = [
        f"{tally.kills} kills: {points}",
        f"{books.attempts} attempts ({states}), {books.charges} calls in the provider's bill",
        f"billed {books.billed} = settled {books.settled} + estimated {books.estimated} - {books.above} above"
        f" + {books.below} below + unknown {books.unknown} + resent {books.resent} nano-dollars;"
        f" {books.exact} estimates are as reckoned",
        f"callers: {len(tally.seen.answered)} answered, {tally.seen.left} left, {tally.seen.broken} cut off",
    ]
    lines += [f"logged: {line}" for line in tally.logged]
    lines += tally.faults or [f"no fault: rate of faults a kill < {bound(tally.kills):.2%} (95 %)"]
    return "\n".join(lines)


def result(tally: Tally, seed: int, gateways: int, took_s: float) -> dict[str, Any]:
    """For machines."""
    books = tally.balance
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "gateways": gateways,
        "took_s": round(took_s, 1),
        "kills": tally.kills,
        "by_point": dict(sorted(tally.by_point.items())),
        "attempts": books.attempts,
        "states": dict(sorted(books.states.items())),
        "calls_billed": books.charges,
        "in_doubt": tally.in_doubt,
        "nano_usd": {
            name: getattr(books, name)
            for name in ("billed", "settled", "estimated", "above", "below", "unknown", "resent")
        },
        "estimates_as_reckoned": books.exact,
        "callers": {"answered": len(tally.seen.answered), "left": tally.seen.left, "cut_off": tally.seen.broken},
        "budgets": tally.budgets,
        "logged": tally.logged,
        "faults": tally.faults,
        "fault_rate_below_95": bound(tally.kills),
    }


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Kill gateways under load, and check their books.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--gateways", type=int, default=2, help="how many, side by side")
    parser.add_argument("--folder", type=Path, help="where to make a temporary folder; on the disk that is to be tried")
    parser.add_argument("--keep", action="store_true", help="leave the folder for a look")
    parser.add_argument(
        "--hang-ups", action="store_true", help="with providers that bill a call and hang up in silence"
    )
    parser.add_argument("--sabotage", choices=PROMISES, default="", help="break a promise, to see that it is noticed")
    parser.add_argument("--out", type=Path, help="a file for the result, JSON")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    kinds = (*KINDS, *HANG_UPS) if given.hang_ups else KINDS
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="kill-gateway-", dir=given.folder)
    columns = (TextColumn("killing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=given.kills)
        work = run(
            Path(folder),
            given.kills,
            given.seed,
            given.gateways,
            lambda: progress.advance(task),
            kinds,
            given.sabotage,
        )
        tally = asyncio.run(work)
    print(report(tally))
    if given.out is not None:
        given.out.write_text(json.dumps(result(tally, given.seed, given.gateways, time.monotonic() - began), indent=2))
    if given.keep:
        print(folder)
    else:
        shutil.rmtree(folder)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
