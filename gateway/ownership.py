"""A number that a process holds by a lock (flock) on a small file of its own, and a file of marks that outlive it.

The system drops the lock when the process dies, however it dies, and that is how others learn of it: nothing has to be
renewed, and nothing expires while a machine sleeps. The lock belongs to the open file, which a forked child would
share: children are started by exec.

The file is mapped into memory: a store to it outlives the process the moment it is made, with no wait for a commit. It
does not outlive the machine, so the file names the boot that it belongs to, and after another boot it says nothing.
What its words mean is the holder's: the ledger's `owners`, the store's `lease_marks`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Self

_BOOT: Final = 64  # bytes of the header
_WORD: Final = struct.Struct("=q")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_pack_into = _WORD.pack_into


class Owned:
    """A number that this process holds until `close`, and the 64-bit words of its file."""

    OWNERS: ClassVar[int] = 1024
    """Processes that may have one database open: numbers go from 0 to one less."""
    WORDS: ClassVar[int]

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _BOOT + self.WORDS * _WORD.size)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number}>"

    @classmethod
    def claim(cls, database: Path) -> Self:
        """The lowest number that no living process holds. `OSError`: there is none, or no room for its file."""
        for number in range(cls.OWNERS):
            owned = cls.claim_number(database, number)
            if owned is not None:
                return owned
        raise OSError(f"more than {cls.OWNERS} processes have {database} open")

    @classmethod
    def claim_number(cls, database: Path, number: int) -> Self | None:
        """That number, or None if a living process (or another `Owned` of this one) holds it. Raises `OSError`."""
        descriptor = os.open(f"{database}-owner-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # All of it now: a store to a page that the disk has no room for kills the process.
            os.posix_fallocate(descriptor, 0, _BOOT + cls.WORDS * _WORD.size)
            return cls(number, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Give the number back. Closing twice does no harm."""
        if self._descriptor >= 0:
            self._map.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _store(self, at: int, word: int) -> None:
        _pack_into(self._map, _BOOT + at * 8, word)

    def _load(self, at: int) -> int:
        (word,) = _WORD.unpack_from(self._map, _BOOT + at * 8)
        return int(word)

    def _words(self) -> tuple[int, ...]:
        return struct.unpack_from(f"={self.WORDS}q", self._map, _BOOT)

    def _clear(self) -> None:
        self._map[_BOOT:] = bytes(self.WORDS * 8)

    def _belongs_to_this_boot(self) -> bool:
        """False after another boot, in a new file, and where the system does not tell: then no mark can be trusted."""
        boot = _boot_id()
        return boot is not None and self._map[:_BOOT] == boot

    def _adopt(self) -> None:
        """Belong to this boot."""
        self._map[:_BOOT] = _boot_id() or bytes(_BOOT)


def _boot_id() -> bytes | None:
    with suppress(OSError):
        return _BOOT_ID.read_bytes().strip()[:_BOOT].ljust(_BOOT, b"\0")
    return None
