"""Metrics with values: children that count into slots, and the family that finds the child of a label set.

`labels` costs a look-up by name, so whoever counts often keeps the child that it returns.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.telemetry.slots import SLOT_BYTES, Slots
from gateway.telemetry.spec import OTHER, Spec, clean


class Counter:
    """Goes up, over restarts too."""

    __slots__ = ("_slots",)

    def __init__(self, slots: memoryview[float], buckets: tuple[float, ...] = ()) -> None:
        self._slots = slots

    def inc(self, by: float = 1.0) -> None:
        """Add `by`, which must not be negative."""
        self._slots[0] += by

    @property
    def value(self) -> float:
        """What this worker counted."""
        return float(self._slots[0])


class Gauge:
    """Goes up and down; begins at 0 in every new process."""

    __slots__ = ("_slots",)

    def __init__(self, slots: memoryview[float], buckets: tuple[float, ...] = ()) -> None:
        self._slots = slots

    def inc(self, by: float = 1.0) -> None:
        self._slots[0] += by

    def dec(self, by: float = 1.0) -> None:
        self._slots[0] -= by

    def set(self, value: float) -> None:
        self._slots[0] = value

    @property
    def value(self) -> float:
        """What this worker has."""
        return float(self._slots[0])


class Histogram:
    """Counts observations by bucket. Their number is the sum of the counts, so the two can never disagree."""

    __slots__ = ("_buckets", "_slots")

    def __init__(self, slots: memoryview[float], buckets: tuple[float, ...]) -> None:
        self._slots = slots
        self._buckets = buckets

    def observe(self, value: float) -> None:
        slots = self._slots
        slots[bisect_left(self._buckets, value) + 1] += 1.0  # bounds are inclusive; slot 0 is the sum
        slots[0] += value

    @property
    def count(self) -> float:
        """How often this worker observed."""
        return float(sum(self._slots[1:]))

    @property
    def sum(self) -> float:
        """The sum of what this worker observed."""
        return float(self._slots[0])


C = TypeVar("C")


class Family(Generic[C]):
    """The children of one metric in this worker. `overflowed` is told of each label set that finds no place."""

    def __init__(
        self,
        spec: Spec,
        make: Callable[[memoryview[float], tuple[float, ...]], C],
        slots: Slots,
        overflowed: Callable[[], None],
    ) -> None:
        self.spec = spec
        self._make = make
        self._slots = slots
        self._overflowed = overflowed
        self._children: dict[tuple[str, ...], C] = {}
        self._allowed = tuple(frozenset(label.values) for label in spec.labels)
        self._rest = (OTHER,) * len(spec.labels)
        for child in slots.children:
            if child.metric == spec.name:
                self._children[child.labels] = self._restored(slots.view(child))
        if all(self._allowed):  # no labels, or listed ones: shown from the start, so that rates see the first count
            for values in itertools.product(*(label.values for label in spec.labels)):
                self._child(values)

    def __repr__(self) -> str:
        return f"<Family {self.spec.name}, {len(self._children)} children>"

    def labels(self, **labels: str) -> C:
        """The child with these labels, all of them named. Never fails at run time over a value: see `OTHER`.

        Raises `TypeError` if the names are not the metric's.
        """
        if len(labels) != len(self.spec.labels):
            raise TypeError(f"{self.spec.name} has the labels {self.spec.label_names}, not {tuple(labels)}.")
        try:
            values = tuple([labels[label.name] for label in self.spec.labels])
        except KeyError as missing:
            raise TypeError(f"{self.spec.name} has the label {missing}, which is not given.") from None
        return self._children.get(values) or self._child(values)

    def _child(self, values: tuple[str, ...]) -> C:
        """The child of label values that may be new, unclean, unlisted or too many."""
        listed = tuple(map(self._listed, values, self._allowed))
        if OTHER in listed and listed != values:
            self._overflowed()
        child = self._children.get(listed)
        if child is not None:
            return child
        if len(self._children) >= self.spec.cap and listed != self._rest:
            self._overflowed()
            return self._child(self._rest)
        return self._added(listed)

    def _listed(self, value: str, allowed: frozenset[str]) -> str:
        value = clean(value)
        return value if not allowed or value in allowed else OTHER

    def _added(self, values: tuple[str, ...]) -> C:
        try:
            slots = self._slots.add(self.spec.name, values)
        except OSError:
            # no room on disk: keep counting where no scrape can see it, rather than fail the request
            slots = memoryview(bytearray(self.spec.width * SLOT_BYTES)).cast("d")
            self._overflowed()
        child = self._children[values] = self._make(slots, self.spec.buckets)
        return child

    def _restored(self, slots: memoryview[float]) -> C:
        if self.spec.kind == "gauge":
            slots[0] = 0.0
        return self._make(slots, self.spec.buckets)
