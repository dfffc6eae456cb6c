"""Take everything that looks like a key out of an event before it is kept, whatever its shape.

Three nets, because each has holes: names under which keys travel (`authorization`, `x-api-key`, ...), the shapes that
issuers give their keys (`gw-`, `sk-`, `AIza`, ...), and the very values that the configuration holds. Errs towards
taking out too much: an innocent word that begins with `sk-` goes too.

What it cannot see: a key of no known shape that is not in the configuration and has no name beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice

GONE = "[redacted]"

TEXT_CHARS = 16_384
"""A longer text is cut: one event must not fill the log."""

_SEEN_CHARS = 2 * TEXT_CHARS  # what is looked through before cutting, so that no key is cut into a stranger
_DEPTH = 8
_ITEMS = 200
_KNOWN_CHARS = 6  # a shorter secret would take ordinary words along

# repetitions are bounded, so that no text takes longer than its length warrants
_NAMES = (
    r"(?:proxy-)?authorization|(?:x-|x-goog-|anthropic-)?api[-_ ]?key|[a-z0-9_-]{0,40}(?:secret|password|passwd|pepper)"
    r"|[a-z0-9_-]{0,40}(?:access|auth|refresh|id|bearer)[-_]token|(?:set-)?cookie|credentials?|private[-_]key"
)
_SENSITIVE_NAME = re.compile(rf"(?:{_NAMES}|token|[a-z0-9_-]*_api_key)\Z", re.IGNORECASE)

# a key begins where no letter or digit stands before it, or behind an escape: repr's \n, a URL's %20
_BEGIN = r"(?:(?<![A-Za-z0-9])|(?<=\\[abfnrtv])|(?<=\\x[0-9A-Fa-f]{2})|(?<=%[0-9A-Fa-f]{2}))"
_SHAPES = (
    r"gw-[A-Za-z0-9_-]{8,}"  # ours
    r"|(?:sk|rk|pk|csk|xai|pplx|nvapi)-[A-Za-z0-9_-]{8,}"  # OpenAI and its kin, Anthropic, Cerebras, xAI, ...
    r"|(?:gsk|hf|fw|r8|tgp_v1|ghp|gho|github_pat)_[A-Za-z0-9_-]{8,}"  # Groq, Hugging Face, Fireworks, ...
    r"|AIza[A-Za-z0-9_-]{16,}|ya29\.[A-Za-z0-9._-]{8,}"  # Google
    r"|A[KS]IA[A-Z0-9]{12,}"  # AWS
    r"|eyJ[A-Za-z0-9_-]{8,2000}+\.[A-Za-z0-9_.-]+"  # JSON web tokens
)
_SHAPE = re.compile(_BEGIN + f"(?:{_SHAPES})")
_SCHEME = re.compile(r"\b(bearer|basic)((?:\s|\\[nrt]|%20|\+)+)[^\s\"',;)}\]]+", re.IGNORECASE)
# `x-api-key: v`, `"api_key": "v"`, `(b'x-api-key', b'v')`: a value that only the name before it gives away
_THEN = r"(\\?[\"']?\s*[:=]\s*b?\\?[\"']?|\\?[\"']\s*,\s*b?\\?[\"'])(?!\[redacted)"
_NAMED = re.compile(rf"(?<![A-Za-z0-9])({_NAMES}){_THEN}[^\s\"',;)}}\]\\]+", re.IGNORECASE)
# these have words and spaces in them, so they go up to the end of the line or of the quotes
_HEADER = re.compile(rf"((?:authorization|cookie)){_THEN}[^\r\n\"'\\]+", re.IGNORECASE)
_QUERY = re.compile(r"([?&](?:key|token|sig|signature|code)=)[^&\s\"'#]+", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^/\s:@\"']*:[^/\s@\"']+@")


class Redactor:
    """Makes a plain, harmless copy of an event: strings, numbers, lists and dicts with string keys only."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self.know(secrets)

    def __repr__(self) -> str:
        return "<Redactor>"

    def know(self, secrets: Iterable[str]) -> None:
        """From now on also take out these values, whatever they look like; replaces those known before."""
        values = sorted({secret for secret in secrets if len(secret) >= _KNOWN_CHARS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, values))) if values else None

    def text(self, text: str) -> str:
        """The text without keys, and cut to `TEXT_CHARS`."""
        text = text[:_SEEN_CHARS]
        if self._known is not None:
            text = self._known.sub(GONE, text)
        text = _HEADER.sub(rf"\1\2{GONE}", text)
        text = _SCHEME.sub(rf"\1\2{GONE}", text)
        text = _NAMED.sub(rf"\1\2{GONE}", text)
        text = _SHAPE.sub(GONE, text)
        text = _QUERY.sub(rf"\1{GONE}", text)
        text = _USERINFO.sub(rf"\1{GONE}@", text)
        if len(text) > TEXT_CHARS:
            text = text[:TEXT_CHARS] + "..."
        # a lone surrogate (an undecodable header) has no place in JSON
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

    def value(self, value: object, depth: int = 0) -> object:
        """A plain copy without keys, of anything at all. Deep or long structures are cut."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float):
            return float(value)
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**64 else f"{value:x} (hexadecimal)"[:TEXT_CHARS]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray):
            return self.text(value.decode("utf-8", "backslashreplace"))
        if depth >= _DEPTH:
            return "..."
        if isinstance(value, Mapping):
            return {self._name(name): self._entry(name, item, depth) for name, item in islice(value.items(), _ITEMS)}
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value, depth)
        return self.text(_shown(value))

    def _name(self, name: object) -> str:
        return self.text(name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else _shown(name))

    def _entry(self, name: object, value: object, depth: int) -> object:
        return GONE if _is_sensitive(name) and value is not None else self.value(value, depth + 1)

    def _sequence(self, items: Iterable[object], depth: int) -> object:
        items = list(islice(items, _ITEMS))
        if len(items) == 2 and _is_sensitive(items[0]):  # a header, as ASGI has them
            return [self.value(items[0]), GONE]
        return [self.value(item, depth + 1) for item in items]


def _is_sensitive(name: object) -> bool:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and len(name) < 100 and _SENSITIVE_NAME.match(name) is not None


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # a logged object's own fault must not lose the event
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
