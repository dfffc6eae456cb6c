"""The meters of an attempt, as its row keeps them: a JSON list of objects, `gateway.model.price.Line` each."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.model.price import Line

_DECODER: Final = msgspec.json.Decoder(list[Line])


def lines_of(text: str | None) -> list[Line]:
    """The priced meters; none where there are none, or in a form that an older gateway wrote."""
    if not text:
        return []
    try:
        return _DECODER.decode(text)
    except msgspec.MsgspecError:
        return []
