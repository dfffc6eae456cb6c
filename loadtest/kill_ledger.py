"""Kills processes that keep a ledger, and holds what is left against the provider's own books.

    python -m loadtest.kill_ledger --kills 1000 [--seed N] [--workers 2] [--folder DIR]

A child (`kill_child.py`) runs calls: reserve, send, one line to a provider over a socket, settle. It is killed
(SIGKILL) at a named step or after a random time, with calls in flight, while siblings go on. The provider lives here,
answers with a price, and writes down what it bills as requests arrive, whoever is left to read it. In the end:

- every billed attempt has a reservation (I1), and no reservation that was acknowledged is lost;
- every attempt has exactly one end (I2); one that ended void was never billed;
- what is settled is what was billed, to the nano-dollar; what was billed and not settled is `unknown` (I3);
- the daily sums are those of the rows.

Prints its seed; a seed with the same number of workers replays the same choices, though not the same interleaving.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import secrets
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from gateway.ledger import Ledger, Reader
from loadtest.kill_child import STEPS, Fate, child, micros


@dataclass(slots=True)
class Outcome:
    """What the kills came to. `faults` is empty if every promise was kept."""

    kills: int = 0
    calls: int = 0
    billed: int = 0
    in_doubt: int = 0
    by_step: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Provider:
    """Answers `<request> <attempt>` with a price in nano-dollars, which it writes down first."""

    def __init__(self, random: random.Random) -> None:
        self.bills: dict[str, int] = {}
        self.twice: list[str] = []
        self._random = random

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end; a request that arrived before the client died is billed."""
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break  # half a request: no provider answers that
                request = line.decode().strip()
                if request in self.bills:
                    self.twice.append(request)
                self.bills[request] = price = self._random.randrange(1, 10**9)
                writer.write(b"%d\n" % price)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


def _fate(random: random.Random, kill: int) -> Fate:
    # Every named step in turn, and as often a random time.
    if kill % 2:
        step = STEPS[kill // 2 % len(STEPS)]
        return Fate(step, random.randrange(1, 40), 10.0)
    return Fate("", 0, random.uniform(0.0, 0.15))


async def run(folder: Path, kills: int, seed: int, workers: int = 2) -> Outcome:
    """Kill `kills` children, `workers` at a time, on one ledger in `folder`; then open it once more and compare."""
    random_ = random.Random(seed)
    provider = Provider(random_)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["loadtest.kill_child"])
    fates = [_fate(random_, kill) for kill in range(kills)]
    outcome = Outcome()
    at = iter(enumerate(fates))

    async def slot() -> None:
        for kill, fate in at:
            await _kill(context, folder, port, fate, f"k{kill}")
            outcome.kills += 1
            outcome.by_step[fate.step or "random time"] = outcome.by_step.get(fate.step or "random time", 0) + 1

    await asyncio.gather(*[slot() for _ in range(workers)])
    await asyncio.sleep(0.1)  # what is in the sockets still arrives, and is billed
    server.close()
    await server.wait_closed()
    ledger = Ledger.open(folder / "ledger.db", micros)
    await ledger.close()
    _judge(folder, provider, outcome)
    return outcome


async def _kill(context: ForkServerContext, folder: Path, port: int, fate: Fate, name: str) -> None:
    arguments = (str(folder / "ledger.db"), port, str(folder / "acknowledged"), fate, name)
    process: ForkServerProcess = context.Process(target=child, args=arguments, daemon=True)
    process.start()
    await asyncio.to_thread(process.join, fate.after_s)
    if process.exitcode is None:
        process.kill()
    await asyncio.to_thread(process.join, 10.0)
    # 255: the fork server has lost its status, which happens about once in a thousand; an error would have made it 1.
    assert process.exitcode in (-signal.SIGKILL, 255), f"{name} ended by itself: {process.exitcode}"
    process.close()


def _judge(folder: Path, provider: Provider, outcome: Outcome) -> None:
    reader = Reader(folder / "ledger.db")
    rows = {}
    cursor = None
    twice = list(provider.twice)
    while True:
        page = reader.list(limit=1000, cursor=cursor)
        for attempt in page.attempts:
            if attempt.reservation.request_id in rows:
                twice.append(attempt.reservation.request_id)
            rows[attempt.reservation.request_id] = attempt
        cursor = page.cursor
        if cursor is None:
            break
    log = folder / "acknowledged"
    acknowledged = set(log.read_text().split()) if log.exists() else set()
    ends = {name: attempt.state for name, attempt in rows.items()}
    settled = {name: a.settlement.cost_nano for name, a in rows.items() if a.settlement and a.state == "settled"}
    bills = provider.bills
    outcome.calls, outcome.billed = len(rows), len(bills)
    outcome.in_doubt = sum(state == "unknown" for state in ends.values())
    checks = {
        "billed without a row": set(bills) - set(rows),
        "acknowledged and lost": acknowledged - set(rows),
        "booked twice": set(twice),
        "without an end": {name for name, state in ends.items() if state in ("reserved", "sent")},
        "void, and billed": {name for name, state in ends.items() if state == "void"} & set(bills),
        "settled at another price than billed": {n for n, cost in settled.items() if bills.get(n) != cost},
        "billed, and neither settled nor unknown": {n for n in bills if ends.get(n) not in ("settled", "unknown")},
    }
    outcome.faults += [f"{len(names)} {what}: {sorted(names)[:3]}" for what, names in checks.items() if names]
    outcome.faults += reader.verify().faults
    reader.close()


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Kill processes that keep a ledger, and check the books.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        outcome = asyncio.run(run(Path(folder), given.kills, given.seed, given.workers))
    steps = ", ".join(f"{step} {count}" for step, count in sorted(outcome.by_step.items()))
    print(f"{outcome.kills} kills ({steps})")
    print(f"{outcome.calls} attempts, {outcome.billed} billed, {outcome.in_doubt} ended unknown")
    # The rule of three: with no fault in n independent kills, the rate is below 3/n with 95 % confidence.
    bound = f"rate of faults a kill < {3 / max(1, outcome.kills):.2%} (95 %)"
    print("\n".join(outcome.faults) if outcome.faults else f"no fault: {bound}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
