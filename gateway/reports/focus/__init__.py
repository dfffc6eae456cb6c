"""The ledger as FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org/).

`columns.py` says what the columns are, `charges.py` makes charges out of an attempt, `rows.py` rows out of charges, and
`export.py` streams them. docs/focus.md explains the choices.
"""

from __future__ import annotations

from gateway.reports.focus.columns import COLUMNS, VERSIONS
from gateway.reports.focus.export import GRAINS, Export, Grain

__all__ = ["COLUMNS", "GRAINS", "VERSIONS", "Export", "Grain"]
