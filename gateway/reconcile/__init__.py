"""A provider's invoice against the ledger: matched by day, model and meter, and every difference explained by its kind.

`invoices/` reads what providers export, `ours.py` adds up the ledger, `match.py` brings both to the same names and
prices, `kinds.py` is the table of kinds of difference in the order in which they are looked for, `compare.py` runs it.
"""

from __future__ import annotations

from gateway.reconcile.compare import Finding, Result, reconcile

__all__ = ["Finding", "Result", "reconcile"]
