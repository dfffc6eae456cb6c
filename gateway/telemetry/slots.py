"""One worker's numbers: float64 slots in a memory-mapped file that outlives it and that other processes can read.

Two files a worker. `<name>.slots` has a header and the slots; it grows by chunks, each written with zeros before it is
mapped, because a store into a hole of a sparse file on a full disk would kill the process (SIGBUS). `<name>.names` is
append-only, one JSON line a child: metric, label values, first slot. A child is named before it is first counted, and a
torn last line (the writer was killed, the disk was full) is ignored by readers and cut off by the next owner.

The owner holds a lock on its slots for as long as it lives. So readers know whose gauges still mean something, and a
new worker with the index of one that is still draining takes a spare name rather than write into the same slots.

An increment is a read and a write, not one step: only one thread, the event loop's, may count.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

MAGIC = b"GWSLOTS1"
HEADER = struct.Struct("=8s16sQ")  # magic, digest of the table, process id of the owner
HEADER_SLOTS = 8
SLOT_BYTES = 8
CHUNK_BYTES = 64 * 1024  # a multiple of every page size in use, so that each chunk can be mapped by itself
CHUNK_SLOTS = CHUNK_BYTES // SLOT_BYTES

_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Child:
    """Where the numbers of one child are: `slot` is its first."""

    metric: str
    labels: tuple[str, ...]
    slot: int


class Slots:
    """The slots of one worker, opened for counting.

    `name` is the worker's; `widths` says how many slots a child of each metric has, `digest` names that table. Files
    written under another table are begun anew. `children` are those that an earlier owner left, with their numbers.
    Raises `OSError` if the files cannot be made.
    """

    def __init__(self, folder: Path, name: str, widths: dict[str, int], digest: bytes) -> None:
        self._widths = widths
        self._chunks: list[memoryview[float]] = []
        self.path, self._slots = _claim(folder, name)
        self._names = os.open(self.path.with_suffix(".names"), os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE_MODE)
        if _head(self._slots) != digest:
            self._begin(digest)
        os.pwrite(self._slots, HEADER.pack(MAGIC, digest, os.getpid()), 0)
        for number in range(os.fstat(self._slots).st_size // CHUNK_BYTES):
            self._map(number)
        self.children = self._restore()
        self._next = max((child.slot + widths[child.metric] for child in self.children), default=HEADER_SLOTS)

    def __repr__(self) -> str:
        return f"<Slots {self.path.name}, {self._next} of {len(self._chunks) * CHUNK_SLOTS} used>"

    def view(self, child: Child) -> memoryview[float]:
        """The numbers of a child, to read and to write."""
        first = child.slot % CHUNK_SLOTS
        return self._chunks[child.slot // CHUNK_SLOTS][first : first + self._widths[child.metric]]

    def add(self, metric: str, labels: tuple[str, ...]) -> memoryview[float]:
        """Room for a new child, all zeros. Raises `OSError` (a full disk) and leaves everything as it was."""
        width = self._widths[metric]
        slot = self._next
        if slot % CHUNK_SLOTS + width > CHUNK_SLOTS:  # a child lies within one chunk
            slot += CHUNK_SLOTS - slot % CHUNK_SLOTS
        while slot // CHUNK_SLOTS >= len(self._chunks):
            self._grow()
        child = Child(metric, labels, slot)
        self._append(orjson.dumps((metric, labels, slot)) + b"\n")
        self._next = slot + width
        return self.view(child)

    def close(self) -> None:
        """Give up the lock: gauges of this worker count no more. Views stay valid until they are dropped."""
        if self._slots < 0:
            return
        fcntl.flock(self._slots, fcntl.LOCK_UN)  # closing would not: each mapping holds a copy of the descriptor
        os.close(self._slots)
        os.close(self._names)
        self._names = self._slots = -1

    def _begin(self, digest: bytes) -> None:
        os.ftruncate(self._slots, 0)
        os.ftruncate(self._names, 0)
        _write_zeros(self._slots, 0)

    def _grow(self) -> None:
        number = len(self._chunks)
        _write_zeros(self._slots, number * CHUNK_BYTES)
        self._map(number)

    def _map(self, number: int) -> None:
        mapped = mmap.mmap(self._slots, CHUNK_BYTES, offset=number * CHUNK_BYTES)
        self._chunks.append(memoryview(mapped).cast("d"))

    def _append(self, line: bytes) -> None:
        end = os.fstat(self._names).st_size
        try:
            written = os.write(self._names, line)
            if written != len(line):
                raise OSError(f"Only {written} of {len(line)} bytes of a name could be written.")
        except OSError:
            os.ftruncate(self._names, end)
            raise

    def _restore(self) -> list[Child]:
        text = os.pread(self._names, os.fstat(self._names).st_size, 0)
        children, whole = [], 0
        for child, end in parse_names(text):
            width = self._widths.get(child.metric)
            last = child.slot + (width or 0) - 1
            if width is None or last // CHUNK_SLOTS != child.slot // CHUNK_SLOTS:
                break
            if last // CHUNK_SLOTS >= len(self._chunks):
                break
            children.append(child)
            whole = end
        os.ftruncate(self._names, whole)
        return children


def parse_names(text: bytes) -> Iterator[tuple[Child, int]]:
    """The children that a names file tells of, each with the offset of its line's end, up to the first torn line."""
    start = 0
    while (end := text.find(b"\n", start) + 1) > 0:
        try:
            metric, labels, slot = orjson.loads(text[start:end])
        except (ValueError, TypeError):
            return
        if not (isinstance(metric, str) and isinstance(labels, list) and isinstance(slot, int)):
            return
        if slot < HEADER_SLOTS or not all(isinstance(value, str) for value in labels):
            return
        yield Child(metric, tuple(labels), slot), end
        start = end


def _claim(folder: Path, name: str) -> tuple[Path, int]:
    """Open and lock the first free file of this name: `name.slots`, else `name.1.slots`, and so on."""
    spare = 0
    while True:
        path = folder / (f"{name}.slots" if spare == 0 else f"{name}.{spare}.slots")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return path, descriptor
        except BlockingIOError:
            os.close(descriptor)
            spare += 1


def _head(descriptor: int) -> bytes | None:
    """The digest of the table that a slots file was written under, or `None` for a new or a foreign file."""
    head = os.pread(descriptor, HEADER.size, 0)
    if len(head) < HEADER.size:
        return None
    magic, digest, _pid = HEADER.unpack(head)
    return digest if magic == MAGIC else None


def _write_zeros(descriptor: int, offset: int) -> None:
    written = os.pwrite(descriptor, bytes(CHUNK_BYTES), offset)
    if written != CHUNK_BYTES:
        os.ftruncate(descriptor, offset)
        raise OSError(f"Only {written} of {CHUNK_BYTES} bytes could be added for metrics.")
