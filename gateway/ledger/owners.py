"""Which processes have the ledger open, and what each of them has sent: one small file a process.

A process claims the lowest free number by a lock (flock) on that number's file. The system drops the lock when the
process dies, however it dies, and that is how others learn of it: nothing has to be renewed, and nothing expires while
a machine sleeps. The lock belongs to the open file, which a forked child would share: children are started by exec.

The file holds a ring of the ids of attempts that were sent last, mapped into memory. `sent` must not wait for a
commit, and yet whoever cleans up after a killed process has to know whether a provider may have been reached: a store
to the ring outlives the process the moment it is made. It does not outlive the machine, so the file names the boot that
it belongs to, and after another boot it says nothing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.ledger.ids import OWNERS

RING: Final = 65_536
"""Ids in the ring: more than can be sent and not yet committed, which the ledger's high-water mark bounds."""

_BOOT: Final = 64  # bytes of the header
_SIZE: Final = _BOOT + RING * 8
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_pack_into = struct.Struct("=q").pack_into


class Owner:
    """A number that this process holds until `close`, and the marks of what was sent under it."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        self._at = 0

    def __repr__(self) -> str:
        return f"<Owner {self.number}>"

    def mark(self, attempt_id: int) -> None:
        """Note that the attempt is about to be sent. Outlives this process from here on."""
        _pack_into(self._map, _BOOT + self._at * 8, attempt_id)
        self._at = (self._at + 1) % RING

    def sent(self) -> frozenset[int] | None:
        """What is in the ring; None if the machine has booted since, or the file is new, and nothing can be told."""
        boot = _boot_id()
        if boot is None or self._map[:_BOOT] != boot:
            return None
        return frozenset(struct.unpack_from(f"={RING}q", self._map, _BOOT)) - {0}

    def reset(self) -> None:
        """Forget all marks, and belong to this boot."""
        self._map[_BOOT:] = bytes(RING * 8)
        self._map[:_BOOT] = _boot_id() or bytes(_BOOT)
        self._at = 0

    def close(self) -> None:
        """Give the number back. Closing twice does no harm."""
        if self._descriptor >= 0:
            self._map.close()
            os.close(self._descriptor)
            self._descriptor = -1


def claim(ledger: Path) -> Owner:
    """The lowest number that no living process holds. Raises `OSError` if there is none, or no room for its file."""
    for number in range(OWNERS):
        owner = claim_number(ledger, number)
        if owner is not None:
            return owner
    raise OSError(f"more than {OWNERS} processes have {ledger} open")


def claim_number(ledger: Path, number: int) -> Owner | None:
    """That number, or None if a living process (or another `Owner` of this one) holds it. Raises `OSError`."""
    descriptor = os.open(f"{ledger}-owner-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # All of it now: a store to a page that the disk has no room for kills the process.
        os.posix_fallocate(descriptor, 0, _SIZE)
        return Owner(number, descriptor)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise


def _boot_id() -> bytes | None:
    """What names this boot of the machine; None where the system does not tell, and no mark can be trusted."""
    with suppress(OSError):
        return _BOOT_ID.read_bytes().strip()[:_BOOT].ljust(_BOOT, b"\0")
    return None
