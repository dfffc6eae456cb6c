"""The books: every attempt that may cost money has a durable row before it is dialled, and ends exactly once.

    RESERVED (durable) -> SENT -> one of SETTLED, ESTIMATED, VOID, UNKNOWN

`Ledger` writes, `Reader` reads, `rotate` moves old history out. docs/ledger.md has the promise, and what each failure
does.
"""

from gateway.ledger.ledger import Ledger, LedgerState, Ticket
from gateway.ledger.reader import Audit, Page, Reader
from gateway.ledger.retention import rotate

__all__ = ["Audit", "Ledger", "LedgerState", "Page", "Reader", "Ticket", "rotate"]
