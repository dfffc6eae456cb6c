"""What a batch cost, booked when it is known: hours after it was made, by whichever worker sees first that it ended.

`finished` reads what the provider says of a batch, `tally` the lines of its output, `prices` turns both into what each
model cost, `booker` writes that to the ledger once, and `watch` looks after all batches that this gateway has made.
"""

from gateway.batches.booker import Booker, Charge
from gateway.batches.watch import Batches

__all__ = ["Batches", "Booker", "Charge"]
