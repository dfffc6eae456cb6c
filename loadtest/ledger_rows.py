"""Fill a new ledger with millions of attempts, seeded, for measuring reports and exports: about 5 us a row.

The rows are computed inside SQLite, in chunks, with the ledger's triggers and indexes put away meanwhile; the daily
sums are added up chunk by chunk instead. What comes out is a ledger like any other: `Reader.verify` finds no fault.
Same seed, same rows.

    python -m loadtest.ledger_rows /tmp/ledger.db --rows 10000000 --days 30
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Final

from gateway.ledger.ids import EPOCH_US, OWNERS
from gateway.ledger.upgrade import upgrade

CHUNK: Final = 200_000
DAY_US: Final = 86_400_000_000
FIRST_DAY: Final = (date(2026, 11, 1) - date(1970, 1, 1)).days

# provider, model, deployment, and nano-dollars per million tokens: input, cache_read, output.
MODELS: Final = (
    ("openai", "gpt-5-mini", "gpt-5-mini", 250_000_000, 25_000_000, 2_000_000_000),
    ("openai", "gpt-5", "gpt-5-eu", 1_250_000_000, 125_000_000, 10_000_000_000),
    ("anthropic", "claude-haiku", "claude-haiku-4-5", 1_000_000_000, 100_000_000, 5_000_000_000),
    ("google", "gemini-flash", "gemini-3-flash", 37_500_000, 9_370_001, 150_000_003),  # rounded: not whole per token
)
STATES: Final = (
    "CASE WHEN h2 % 1000 < 970 THEN 'settled' WHEN h2 % 1000 < 985 THEN 'estimated'"
    " WHEN h2 % 1000 < 993 THEN 'void' WHEN h2 % 1000 < 996 THEN 'unknown' ELSE 'unpriced' END"
)


def _half_even(quantity: str, rate: str) -> str:
    amount, rest = f"({quantity} * {rate} / 1000000)", f"({quantity} * {rate} % 1000000)"
    return f"({amount} + ({rest} > 500000 OR ({rest} = 500000 AND {amount} % 2 = 1)))"


_MADE: Final = f"""
CREATE TEMP TABLE made AS
WITH RECURSIVE counted(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :last),
hashed AS MATERIALIZED (
  SELECT n, (n * 2654435761 + :seed * 40503) % 4294967296 AS h1,
    ((n * 2654435761 + :seed * 40503) % 4294967296 * 1103515245 + 12345) % 2147483648 / 8 AS h2 FROM counted),
drawn AS MATERIALIZED (
  SELECT n, h1, h2, :began + n * :step AS began_at, {STATES} AS kind_of_end,
    200 + h2 % 3989 AS input, CASE WHEN h1 / 64 % 3 = 0 THEN 100 + h2 % 89 ELSE 0 END AS cached,
    20 + h2 / 4096 % 887 AS output, models.* FROM hashed JOIN models ON models.id = h1 / 16 % 4),
priced AS (
  SELECT *, {_half_even("(input - cached)", "input_rate")} AS input_nano,
    {_half_even("cached", "cache_rate")} AS cache_nano, {_half_even("output", "output_rate")} AS output_nano FROM drawn)
SELECT *, (began_at - {EPOCH_US}) * {OWNERS} + 1 AS attempt_id, input_nano + cache_nano + output_nano AS nano,
  kind_of_end IN ('settled', 'estimated') AS has_cost,
  kind_of_end IN ('settled', 'estimated', 'unpriced') AS has_tokens,
  CASE kind_of_end WHEN 'unpriced' THEN 'settled' ELSE kind_of_end END AS state FROM priced
"""
_RESERVATIONS: Final = """
INSERT INTO reservations
SELECT attempt_id, printf('req_%012x', n), 1, 'first', began_at, '/v1/chat/completions', h1 % 2,
  printf('k%02d%d', h1 / 4 % 20, h1 / 8 % 3), printf('team-%02d', h1 / 4 % 20), printf('project-%d', h1 / 8 % 3),
  printf('user-%d', h2 % 997), CASE WHEN h2 % 4 THEN printf('session-%d', n / 8) ELSE '' END, '',
  CASE WHEN h2 % 5 = 0 THEN '["beta"]' END, provider, deployment, model,
  CASE WHEN h1 / 128 % 2 THEN 'support/answer' ELSE '' END, CASE WHEN h1 / 128 % 2 THEN 1 + h1 / 256 % 3 ELSE '' END,
  '0f34', nano + 5000000 FROM made
"""
_SENDINGS: Final = "INSERT INTO sendings SELECT attempt_id, began_at + 200 FROM made WHERE state <> 'void'"
_LINE: Final = '{"meter":"%s","quantity":%d,"rate":%d,"per":1000000,"nano_usd":%d}'
_ENDINGS: Final = f"""
INSERT INTO endings
SELECT attempt_id, state, began_at + 900000 + h2 % 1000, CASE state WHEN 'void' THEN 0 ELSE 200 END,
  CASE state WHEN 'void' THEN 'upstream_unreachable' ELSE '' END,
  CASE WHEN has_tokens THEN CASE state WHEN 'estimated' THEN 'estimated' ELSE 'provider' END END, model,
  has_tokens * input, has_tokens * output, has_tokens * cached, 0, 0, NULL,
  CASE WHEN has_cost THEN nano WHEN state = 'void' THEN 0 END,
  CASE WHEN has_cost THEN
    '[' || printf('{_LINE}', 'input', input - cached, input_rate, input_nano)
    || CASE WHEN cached THEN printf(',{_LINE}', 'cache_read', cached, cache_rate, cache_nano) ELSE '' END
    || printf(',{_LINE}', 'output', output, output_rate, output_nano) || ']'
  END, 'generated', '1', '2026-11-01', 900000, 120000, 0 FROM made
"""
_KEYS: Final = "day, team, project, key_id, model, provider, deployment, prompt_id, prompt_version, state, source"
_SUMS: Final = (
    "attempts, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,"
    " cost_nano, held_nano"
)
_DAILY: Final = f"""
INSERT INTO daily ({_KEYS}, {_SUMS})
SELECT r.began_at / {DAY_US} AS day, r.team, r.project, r.key_id, r.model, r.provider, r.deployment, r.prompt_id,
  r.prompt_version, e.state, COALESCE(e.source, '') AS source, COUNT(*),
  SUM(e.cost_nano IS NULL AND e.state IN ('settled', 'estimated')), SUM(e.input_tokens), SUM(e.output_tokens),
  SUM(e.cache_read_tokens), SUM(e.cache_write_tokens), SUM(e.reasoning_tokens), SUM(COALESCE(e.cost_nano, 0)),
  SUM(CASE e.state WHEN 'unknown' THEN r.held_nano ELSE 0 END)
FROM reservations AS r JOIN endings AS e USING (attempt_id)
WHERE attempt_id BETWEEN :low AND :high GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ON CONFLICT ({_KEYS}) DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS.split(", "))}
"""


def fill(
    path: Path,
    rows: int,
    *,
    seed: int = 1,
    first_day: int = FIRST_DAY,
    days: int = 30,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Make a ledger at `path`, which must not exist, of `rows` ended attempts, evenly over `days` from `first_day`.

    Days count from 1970-01-01 (UTC). `progress` is told how many rows there are after each chunk.
    """
    if path.exists():
        raise FileExistsError(path)
    upgrade(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nothing to lose: a broken run is thrown away. WAL would write each row twice.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -131072", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        put_away = _put_away(connection)
        connection.execute(
            "CREATE TEMP TABLE models (id INTEGER PRIMARY KEY, provider, model, deployment, input_rate, cache_rate,"
            " output_rate)"
        )
        connection.executemany(
            "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?)", [(at, *m) for at, m in enumerate(MODELS)]
        )
        values = {"seed": seed, "began": first_day * DAY_US, "step": days * DAY_US // rows}
        for first in range(0, rows, CHUNK):
            last = min(first + CHUNK, rows)
            _chunk(connection, {**values, "first": first, "last": last})
            progress(last)
        for statement in put_away:
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode = WAL")


def _chunk(connection: sqlite3.Connection, values: dict[str, int]) -> None:
    connection.execute("BEGIN")
    connection.execute(_MADE, values)
    for statement in (_RESERVATIONS, _SENDINGS, _ENDINGS):
        connection.execute(statement)
    low, high = connection.execute("SELECT MIN(attempt_id), MAX(attempt_id) FROM made").fetchone()
    connection.execute(_DAILY, {"low": low, "high": high})
    connection.execute("DROP TABLE made")
    connection.execute("COMMIT")


def _put_away(connection: sqlite3.Connection) -> list[str]:
    """Drop triggers and indexes; the statements that make them again."""
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL ORDER BY type"
    ).fetchall()
    for kind, name, _ in found:
        connection.execute(f"DROP {kind} {name}")
    return [str(sql) for _, _, sql in found]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fill a new ledger with generated attempts.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    fill(
        asked.path,
        asked.rows,
        seed=asked.seed,
        days=asked.days,
        progress=lambda done: print(f"{done:,} rows, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True),
    )
    size = asked.path.stat().st_size
    took_s = time.monotonic() - began
    print(f"{asked.path}: {asked.rows:,} rows, {size / 2**30:.2f} GiB, {took_s:.0f} s, seed {asked.seed}")


if __name__ == "__main__":
    main()
