"""Budgets and rate limits: no call begins that could go over one, on any number of workers.

`rules.py` says which budgets a call falls under, `limits.py` holds and settles, `lease.py` keeps one worker's part of
one budget, and `bank.py` says how the shared store divides what is left.
"""

from gateway.limits.hold import NOTHING, Hold
from gateway.limits.limits import Limits
from gateway.limits.refusal import RateLimited
from gateway.limits.rules import KeyTerms, Limit, Rule, Rules

__all__ = ["NOTHING", "Hold", "KeyTerms", "Limit", "Limits", "RateLimited", "Rule", "Rules"]
