"""The nearest right word to a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# What other gateways call the same thing, which no measure of letters would find.
_SYNONYMS = {
    "address": "base_url",
    "api_base": "base_url",
    "bind": "host",
    "database": "ledger",
    "db": "ledger",
    "endpoint": "base_url",
    "key": "api_key",
    "model_list": "models",
    "redis": "shared",
    "retries": "fallbacks",
    "ssl": "tls",
    "token": "api_key",
    "type": "kind",
    "url": "base_url",
    "vendor": "provider",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` most likely meant, if any is near."""
    names = list(known)
    meant = _SYNONYMS.get(word.lower())
    if meant in names:
        return meant
    folded = {name.lower().replace("-", "_"): name for name in names}
    found = get_close_matches(word.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: `; did you mean ...?`, or nothing."""
    found = nearest(word, known)
    return "" if found is None else f"; did you mean `{found}`?"
