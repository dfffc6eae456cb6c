"""Which deployment serves a call: pure decisions, chance comes in as an argument."""

from gateway.routing.router import Routes, plan

__all__ = ["Routes", "plan"]
