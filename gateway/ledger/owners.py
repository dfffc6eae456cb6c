"""Which processes have the ledger open, and what each of them has sent: one small file a process (`ownership`).

The file holds a ring of the ids of attempts that were sent last. `sent` must not wait for a commit, and yet whoever
cleans up after a killed process has to know whether a provider may have been reached.
"""

from __future__ import annotations

from typing import Final

from gateway.ledger import ids
from gateway.ownership import Owned

RING: Final = 65_536
"""Ids in the ring: more than can be sent and not yet committed, which the ledger's high-water mark bounds."""


class Owner(Owned):
    """A number that this process holds until `close`, and the marks of what was sent under it."""

    OWNERS = ids.OWNERS
    WORDS = RING

    def __init__(self, number: int, descriptor: int) -> None:
        super().__init__(number, descriptor)
        self._at = 0

    def mark(self, attempt_id: int) -> None:
        """Note that the attempt is about to be sent. Outlives this process from here on."""
        self._store(self._at, attempt_id)
        self._at = (self._at + 1) % RING

    def sent(self) -> frozenset[int] | None:
        """What is in the ring; None if the machine has booted since, or the file is new, and nothing can be told."""
        if not self._belongs_to_this_boot():
            return None
        return frozenset(self._words()) - {0}

    def reset(self) -> None:
        """Forget all marks, and belong to this boot."""
        self._clear()
        self._adopt()
        self._at = 0


claim = Owner.claim
claim_number = Owner.claim_number
