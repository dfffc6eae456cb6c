"""The numbers of all workers as one: what a scrape shows, whichever worker is asked.

Counters and histograms are summed over every file, those of dead workers included, so they never go down. Gauges are
summed, or their maximum taken, over living workers only: a connection that a killed worker had is no longer open.
"""

from __future__ import annotations

import fcntl
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.telemetry.slots import HEADER, MAGIC, Child, parse_names
from gateway.telemetry.spec import Spec, digest

Merged = dict[str, dict[tuple[str, ...], list[float]]]
"""By metric and label values: one number, or a histogram's sum and its counts by bucket, the last for infinity."""


@dataclass(frozen=True, slots=True)
class WorkerNumbers:
    """What one worker counted: `alive` tells whether its process still is."""

    alive: bool
    children: list[Child]
    slots: array[float]


def merge(folder: Path, table: Sequence[Spec]) -> Merged:
    """Read what every worker of `folder` counted under `table`, and add it up. Files of another table are left out."""
    specs = {spec.name: spec for spec in table}
    merged: Merged = {name: {} for name in specs}
    for worker in _workers(folder, digest(table)):
        for child in worker.children:
            spec = specs.get(child.metric)
            if spec is None or len(child.labels) != len(spec.labels):
                continue
            if spec.kind == "gauge" and not worker.alive:
                continue
            numbers = worker.slots[child.slot : child.slot + spec.width]
            if len(numbers) == spec.width:
                _add(merged[spec.name], child.labels, numbers, spec)
    return merged


def _add(into: dict[tuple[str, ...], list[float]], labels: tuple[str, ...], numbers: array[float], spec: Spec) -> None:
    so_far = into.get(labels)
    if so_far is None:
        into[labels] = numbers.tolist()
    elif spec.merge == "max":
        into[labels] = [max(so_far[0], numbers[0])]
    else:
        into[labels] = [a + b for a, b in zip(so_far, numbers, strict=True)]


def _workers(folder: Path, table: bytes) -> Iterator[WorkerNumbers]:
    for path in sorted(folder.glob("*.slots")):
        try:
            worker = _read(path, table)
        except OSError:  # it vanished while we looked: the gateway is being taken down
            continue
        if worker is not None:
            yield worker


def _read(path: Path, table: bytes) -> WorkerNumbers | None:
    with path.open("rb") as file:
        alive = _is_locked(file.fileno())
        # names first: a child is named after it has its slots, so every name read here has them in what is read next
        children = [child for child, _end in parse_names(path.with_suffix(".names").read_bytes())]
        content = file.read()
    if len(content) < HEADER.size:
        return None
    magic, found, _pid = HEADER.unpack_from(content)
    if magic != MAGIC or found != table:
        return None
    slots = array("d")
    slots.frombytes(content[: len(content) // slots.itemsize * slots.itemsize])
    return WorkerNumbers(alive, children, slots)


def _is_locked(descriptor: int) -> bool:
    try:
        # shared, so that two scrapes at once do not take each other for the owner
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
