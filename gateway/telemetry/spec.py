"""What a metric is before it has a value: its name, labels, buckets and the rule by which workers are added up.

Label sets are closed. A label either lists its values, or says where they come from (the configuration, the code); text
that a client sent is never one. A hard cap on the children of each metric keeps memory bounded even where that rule is
broken somewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max"]

OTHER = "other"
"""The value of a label that is not in its list, and of every label beyond the cap."""

LABEL_CHARS = 128


@dataclass(frozen=True, slots=True)
class Label:
    """One label. `source` says in words where values come from; `values` lists them where they can be listed."""

    name: str
    source: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric. `cap` bounds its children in one worker; `buckets` are upper bounds, inclusive, without infinity."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    cap: int = 10_000

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def width(self) -> int:
        """Float64 slots of one child. A histogram has its sum, then one count a bucket, the last for infinity."""
        return 1 if self.kind != "histogram" else 2 + len(self.buckets)


def counter(name: str, help: str, *labels: Label) -> Spec:
    return Spec(name, "counter", help, labels)


def gauge(name: str, help: str, *labels: Label, merge: Merge = "sum") -> Spec:
    return Spec(name, "gauge", help, labels, merge=merge)


def histogram(name: str, help: str, *labels: Label, buckets: tuple[float, ...]) -> Spec:
    # a child has some twenty samples, so the cap is lower: a scrape of the worst case stays within a few seconds
    return Spec(name, "histogram", help, labels, buckets, cap=1_000)


def digest(table: Iterable[Spec]) -> bytes:
    """16 bytes that change whenever slots written under one table would be misread under another."""
    shapes = [f"{spec.name} {spec.kind} {spec.label_names} {spec.buckets}" for spec in table]
    return hashlib.blake2b("\n".join(shapes).encode(), digest_size=16).digest()


def clean(value: str) -> str:
    """A label value as it is stored: bounded, printable, encodable."""
    if len(value) > LABEL_CHARS:
        value = value[:LABEL_CHARS]
    # `isprintable` is false for controls, CR and LF, line separators and lone surrogates
    return value if value.isprintable() else "".join(c if c.isprintable() else "_" for c in value)
