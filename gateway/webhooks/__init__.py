"""Webhooks: what people want to hear of without asking, sent to addresses of theirs, signed, until it has arrived.

`events.py` says what is told, `crossings.py` sees budgets come near their caps, `outbox.py` keeps what is not
delivered yet, `signing.py` and `sender.py` make one attempt, `retries.py` says when the next is due,
and `webhooks.py` runs it all.
"""

from gateway.webhooks.crossings import BudgetWatch
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.events import Event
from gateway.webhooks.observer import Observer
from gateway.webhooks.webhooks import State, Webhooks

__all__ = ["BudgetWatch", "Endpoint", "Event", "Observer", "State", "Webhooks"]
