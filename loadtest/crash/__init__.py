"""Kills whole gateways and holds their ledger against a provider's own books: see `loadtest/kill_gateway.py`."""
