"""Threads for work on one database, apart from the loop's shared ones.

Those are few, and look-ups of names that hang can take them all; the gateway's own books must not queue behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads:
    """Runs blocking functions in `count` threads named after what they work on."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, f"gateway-{name}")

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What `work` returns or raises. Work that has begun goes on to its end if the waiting is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    def close(self, *, wait: bool) -> None:
        """End the threads; `wait` for what is at work, or leave what has not begun undone and go on at once."""
        self._pool.shutdown(wait=wait, cancel_futures=not wait)
