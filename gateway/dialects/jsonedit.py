"""Change top-level members of a JSON object in its bytes, and not one byte besides.

A request goes on to the provider as the client wrote it: its order, its spacing, its number formats, the fields that
the gateway has never heard of. Decoding and encoding again would lose some of that (1.0, 1e400, duplicate keys).

Duplicate keys are refused for the members that decide who answers and what it costs. Parsers differ in which of two
they believe, so a body with two models could be judged as one and served as the other.

The quick way rests on this: a member whose name is ASCII letters and underscores can be spelled in JSON only literally
or with the escapes `\\u0041` to `\\u007a`. So where a body holds no such escape and the quoted name stands in it once,
that is the member.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from gateway.errors import InvalidRequest

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(_STRING + rb"|[{}\[\]:,]", re.DOTALL)
_NESTED = re.compile(_STRING + rb"|[{}\[\]]", re.DOTALL)
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
_SCALAR = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(" + _STRING + rb"|[-+.0-9a-zA-Z]+)", re.DOTALL)
_SPACE = b" \t\r\n"

MAX_TOKENS = 500_000
"""Strings and brackets of a body that has to be read through: about 0.2 s of the loop, far above any honest one."""


class Member(NamedTuple):
    """Where one top-level member lies: `start` of its key to `end` of its value, which begins at `value`."""

    key: str
    start: int
    value: int
    end: int


def members(body: bytes) -> Iterator[Member]:
    """The top-level members of `body`, which must be a valid JSON object, in order.

    Raises `InvalidRequest` if there is more in it than `MAX_TOKENS`.
    """
    key: tuple[int, int] | None = None
    value = 0
    for start, end in _top_level(body):
        first = body[start]
        if first == _QUOTE and key is None:
            key = (start, end)
        elif first == _COLON and not value:
            value = end
        elif first in _ENDS and key is not None:
            yield Member(orjson.loads(body[slice(*key)]), key[0], _skip(body, value), _trim(body, start))
            key, value = None, 0


_QUOTE, _COLON = b'":'
_ENDS = b",}"


def _top_level(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the tokens of the outermost object lie, its first brace left out; what is nested deeper is passed over."""
    depth, at = 1, body.index(b"{") + 1
    for _ in range(MAX_TOKENS):
        token = (_TOKEN if depth == 1 else _NESTED).search(body, at)
        if token is None:
            return
        at = token.end()
        first = body[token.start()]
        if first in b"{[":
            depth += 1
            continue
        if first in b"}]":
            depth -= 1
            if depth:
                continue
        if depth < 2:
            yield token.span()
    raise InvalidRequest("The body has too many parts to be read through.", code="invalid_json")


def _skip(body: bytes, at: int) -> int:
    while body[at] in _SPACE:
        at += 1
    return at


def _trim(body: bytes, at: int) -> int:
    while body[at - 1] in _SPACE:
        at -= 1
    return at


def is_plain(body: bytes, names: Iterable[str]) -> bool:
    """Whether each of `names` stands in `body` at most once, literally, so that `edit` need not read it through."""
    if b"\\" in body and b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None:
        return False
    return all(body.count(b'"%b"' % name.encode()) < 2 for name in names)


def check_unique(body: bytes, names: Collection[str]) -> None:
    """Refuse `body` (a valid JSON object) if one of `names` is there twice at the top level."""
    seen: set[str] = set()
    for member in members(body):
        if member.key in seen:
            name = member.key
            raise InvalidRequest(f"The body has `{name}` twice; send it once.", code="duplicate_field", param=name)
        if member.key in names:
            seen.add(member.key)


def edit(
    body: bytes,
    parsed: Mapping[str, Any],
    replace: Mapping[str, bytes],
    remove: Collection[str] = (),
    *,
    plain: bool = False,
) -> bytes:
    """`body` with the values of some members replaced (added in front if absent) and others taken out.

    `parsed` is `body` decoded; the new values are JSON. `plain` is what `is_plain` said of all names in `replace` that
    `parsed` has.
    """
    if not any(name in parsed for name in remove):
        edited = body
        for name, value in replace.items():
            quick = _replace(edited, name, value, plain) if name in parsed else _insert(edited, name, value)
            if quick is None:
                break
            edited = quick
        else:
            return edited
    return _edit_by_reading(body, replace, frozenset(remove))


def _replace(body: bytes, name: str, value: bytes, plain: bool) -> bytes | None:
    if not plain:
        return None
    quoted = b'"%b"' % name.encode()
    found = _SCALAR.match(body, body.rfind(quoted) + len(quoted))  # clients tend to write the long messages first
    if found is None:
        return None  # an object or an array
    return body[: found.start(1)] + value + body[found.end(1) :]


def _insert(body: bytes, name: str, value: bytes) -> bytes:
    brace = body.index(b"{") + 1
    comma = b"" if body[_skip(body, brace)] == ord("}") else b","
    return b'%b"%b":%b%b%b' % (body[:brace], name.encode(), value, comma, body[brace:])


def _edit_by_reading(body: bytes, replace: Mapping[str, bytes], remove: frozenset[str]) -> bytes:
    found = list(members(body))
    kept = [member for member in found if member.key not in remove]
    present = {member.key for member in kept}
    cuts = [(member.value, member.end, replace[member.key]) for member in kept if member.key in replace]
    cuts += [(start, end, b"") for start, end in _removals(found, kept)]
    brace = body.index(b"{") + 1
    added = [b'"%b":%b' % (name.encode(), value) for name, value in replace.items() if name not in present]
    pieces = [body[:brace], b",".join(added), b"," if added and kept else b""]
    at = brace
    for start, end, value in sorted(cuts):
        pieces += (body[at:start], value)
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def _removals(found: list[Member], kept: list[Member]) -> Iterator[tuple[int, int]]:
    """What to cut so that of `found` only `kept` stay: a member with the comma after it, at the end the one before."""
    staying = {member.start for member in kept}
    last = kept[-1] if kept else None
    for member, following in pairwise(found):
        if member.start not in staying and last is not None and member.start < last.start:
            yield member.start, following.start
    if found and found[-1] is not last:
        yield (last.end if last is not None else found[0].start), found[-1].end
