"""Which lives a campaign consists of: every named point in turn, random times between them, and pairs of workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from random import Random
from typing import Final

from loadtest.crash.lives import Fate, Life
from loadtest.crash.points import CALLING, ENDING, STARTING, WRITING

MOST: Final = {"mid-stream": 300, "commit begun": 120, "reserve queued": 60, "settle queued": 60}
"""How often a point is passed at most before it kills; others, 40 times. A gateway has some hundred calls a second."""


def plan(draw: Random, kills: int, sabotage: str = "") -> list[Life]:
    """Lives that have `kills` kills together. `sabotage` is for all that are lived by one process."""
    lives: list[Life] = []
    left = kills
    for life in chain([_life(draw, "start")], _endless(draw)):  # the first while the data folder is being made
        if life.kills <= left:
            lives.append(replace(life, fate=replace(life.fate, sabotage=sabotage)))
            left -= life.kills
        if not left:
            return lives
    raise AssertionError("lives do not run out")


def _endless(draw: Random) -> Iterator[Life]:
    while True:
        turn = [*STARTING, *CALLING, *WRITING, *ENDING, "drain", "start", "two workers", "random time"]
        draw.shuffle(turn)
        for at, name in enumerate(turn):
            yield _life(draw, name)
            if at % 3 == 0:
                yield _life(draw, "random time")


def _life(draw: Random, name: str) -> Life:
    if name == "two workers":
        count = draw.randrange(2, 5)
        waits = tuple(draw.uniform(0.1, 0.6) for _ in range(count))
        victims = tuple(draw.randrange(2) for _ in range(count))
        return Life(waits_s=waits, victims=victims, all_at_once=draw.random() < 0.5)
    return Life(_fate(draw, name))


def _fate(draw: Random, name: str) -> Fate:
    if name == "start":
        return Fate(start_s=draw.uniform(0.005, 0.2))
    if name == "random time":
        return Fate(after_s=draw.uniform(0.0, 0.5))
    if name == "drain":
        return Fate(after_s=draw.uniform(0.05, 0.4), terminates=True, drain_s=draw.uniform(0.0, 0.15))
    if name in ENDING:
        return Fate(name, after_s=draw.uniform(0.05, 0.4), terminates=True, drain_s=5.0)
    if name in STARTING:
        return Fate(name)
    return Fate(name, draw.randrange(1, MOST.get(name, 40)), after_s=3.0)
