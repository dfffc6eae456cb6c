"""Which processes have leases, and how much of each they have used: one small file a process (`ownership`).

For each lease the file says how much was spent and is held, so that of a dead process's lease just what may have been
billed stays spent, and the rest comes back. After another boot all of a lease counts as spent.
"""

from __future__ import annotations

from typing import Final

from gateway.ownership import Owned

SLOTS: Final = 65_536
"""Leases of dollars that a process can mark at once; those beyond count as spent whole, should it die."""


class Marks(Owned):
    """A number that this process holds until `close`, and its marks. Slot 0 is nobody's: what is put there is lost."""

    WORDS = SLOTS

    def __init__(self, number: int, descriptor: int) -> None:
        super().__init__(number, descriptor)
        self._unused = 1
        self._freed: list[int] = []

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
        self._store(slot, units)

    def read(self, slot: int) -> int | None:
        """What was noted; None if nothing can be told, as the machine has booted since or the lease had no slot."""
        return self._load(slot) if slot and self._belongs_to_this_boot() else None

    def reset(self) -> None:
        """Belong to this boot, with no slot in use."""
        self._adopt()
        self._unused = 1
        self._freed.clear()


claim = Marks.claim
claim_number = Marks.claim_number
