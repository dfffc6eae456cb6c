"""The script's own tokens: a token is a word. It is a stated count, not an imitation of any tokenizer.

Words are what stands between white space. A tool call counts one for its name and one for every four characters of its
arguments, begun. Whoever needs a vendor's exact figures writes them into the script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\s*\S+|\s+$")


def count(text: str) -> int:
    """Tokens in `text`."""
    return len(text.split())


def count_call(arguments: str) -> int:
    """Tokens of one tool call."""
    return 1 + (len(arguments) + 3) // 4


def pieces(text: str, chunk: str | int) -> list[str]:
    """`text` cut into chunks: `words` (with the white space before them), `chars`, or so many characters each."""
    if chunk == "words":
        return _WORD.findall(text)
    size = chunk if isinstance(chunk, int) else 1
    return [text[start : start + size] for start in range(0, len(text), size)]


def shorten(text: str, limit: int | None, stops: Sequence[str]) -> tuple[str, bool]:
    """`text` up to the first of `stops` and up to `limit` tokens; and whether the limit cut it."""
    for stop in stops:
        if stop:
            text = text.partition(stop)[0]
    if limit is None or count(text) <= limit:
        return text, False
    return "".join(_WORD.findall(text)[:limit]), True


def spread(total: int, flags: Sequence[bool]) -> tuple[int, ...]:
    """`total` tokens, spread evenly over the parts whose flag is set: the running sum after each part."""
    bearers = sum(flags)
    done = 0
    sums = []
    for flag in flags:
        done += flag
        sums.append(total * done // bearers if bearers else total)
    return tuple(sums)
