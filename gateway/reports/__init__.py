"""Cost reports: one file each, read from the ledger's daily sums, shown as a table, CSV, JSON, a workbook or a page.

A module of this folder that has a `REPORT` is one; `listing.reports()` finds them, and the command line, the API and
the console show what it finds. What a report is stands in `base.py`.
"""
