"""Who may come in, and for what: a credential becomes a Caller."""

from gateway.access.attribution import NOBODY, Attribution, attribution
from gateway.access.keys import KeyRing, authenticate, check_agent, check_model, covers, credential

__all__ = [
    "NOBODY",
    "Attribution",
    "KeyRing",
    "attribution",
    "authenticate",
    "check_agent",
    "check_model",
    "covers",
    "credential",
]
