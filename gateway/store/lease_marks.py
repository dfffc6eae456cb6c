"""Which processes have leases, and how much of each they have used: one small file a process, mapped into memory.

A process holds a number by a lock (flock) on that number's file, which the system drops when the process dies, however
it dies: nothing has to be renewed, and nothing expires while a machine sleeps. The lock belongs to the open file, which
a forked child would share: children are started by exec.

For each lease the file says how much was spent and is held. A store to it outlives the process the moment it is made,
so that of a dead process's lease just what may have been billed stays spent, and the rest comes back. It does not
outlive the machine: the file names the boot that it belongs to, and after another boot all of a lease counts as spent.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

SLOTS: Final = 65_536
"""Leases of dollars that a process can mark at once; those beyond count as spent whole, should it die."""
OWNERS: Final = 1024

_BOOT: Final = 64  # bytes of the header
_SIZE: Final = _BOOT + SLOTS * 8
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_WORD: Final = struct.Struct("=q")
_pack_into = _WORD.pack_into


class Marks:
    """A number that this process holds until `close`, and its marks. Slot 0 is nobody's: what is put there is lost."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        self._unused = 1
        self._freed: list[int] = []

    def __repr__(self) -> str:
        return f"<Marks {self.number}>"

    def draw_slot(self) -> int:
        """A slot that is nobody's, at zero; 0 if there is none."""
        if self._freed:
            slot = self._freed.pop()
        elif self._unused < SLOTS:
            slot = self._unused
            self._unused += 1
        else:
            return 0
        self.mark(slot, 0)
        return slot

    def free_slot(self, slot: int) -> None:
        """Give a slot back, once nothing in the store names it."""
        if slot:
            self._freed.append(slot)

    def mark(self, slot: int, units: int) -> None:
        """Note what a lease has spent and holds."""
        _pack_into(self._map, _BOOT + slot * 8, units)

    def read(self, slot: int) -> int | None:
        """What was noted; None if nothing can be told, as the machine has booted since or the lease had no slot."""
        boot = _boot_id()
        if not slot or boot is None or self._map[:_BOOT] != boot:
            return None
        (units,) = _WORD.unpack_from(self._map, _BOOT + slot * 8)
        return int(units)

    def reset(self) -> None:
        """Belong to this boot, with no slot in use."""
        self._map[:_BOOT] = _boot_id() or bytes(_BOOT)
        self._unused = 1
        self._freed.clear()

    def close(self) -> None:
        """Give the number back. Closing twice does no harm."""
        if self._descriptor >= 0:
            self._map.close()
            os.close(self._descriptor)
            self._descriptor = -1


def claim(database: Path) -> Marks:
    """The lowest number that no living process holds. Raises `OSError` if there is none, or no room for its file."""
    for number in range(OWNERS):
        marks = claim_number(database, number)
        if marks is not None:
            return marks
    raise OSError(f"more than {OWNERS} processes have {database} open")


def claim_number(database: Path, number: int) -> Marks | None:
    """That number, or None if a living process (or other `Marks` of this one) holds it. Raises `OSError`."""
    descriptor = os.open(f"{database}-owner-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # All of it now: a store to a page that the disk has no room for kills the process.
        os.posix_fallocate(descriptor, 0, _SIZE)
        return Marks(number, descriptor)
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
