"""Whom a call is booked on besides its key: user, session, agent and tags, as headers and bodies name them.

What is wrong in a header of ours is refused, because its sender means us; a body's `user` and `metadata` are the
provider's to judge, and what cannot be a name there counts as none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.access.keys import check_agent
from gateway.errors import InvalidRequest
from gateway.model.caller import Caller

MAX_TAGS: Final = 16
MAX_NAME: Final = 128
"""Characters of a user, a session, an agent, and of a tag with its value."""

_TAG: Final = re.compile(r"[A-Za-z0-9_.-]+=[^,=]+")
_CONVERSATION: Final = b"gen_ai.conversation.id"


class Attribution(msgspec.Struct, frozen=True):
    """Names are empty where nothing was named; `tags` read `name=value`, sorted, each once."""

    user: str = ""
    session: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()


NOBODY: Final = Attribution()


def attribution(caller: Caller, headers: Mapping[bytes, bytes], parsed: Mapping[str, Any] | None) -> Attribution:
    """Read it. `parsed` is a JSON body. Raises `InvalidRequest`, and `Forbidden` for an agent that the key is not for.

    A session is the header's, else `metadata.session_id`, else the conversation id that OpenTelemetry's baggage holds.
    """
    named = headers.get(b"x-gateway-agent")
    agent = check_agent(caller, _name(named, "x-gateway-agent") if named is not None else None) or ""
    given = headers.get(b"x-gateway-tags")
    tags = _tags(given) if given else ()
    given = headers.get(b"x-gateway-session")
    session = _name(given, "x-gateway-session") if given is not None else ""
    user = ""
    if parsed is not None:
        user = _text(parsed.get("user")) or _text(parsed.get("safety_identifier"))
        metadata = parsed.get("metadata")
        if not session and type(metadata) is dict:
            session = _text(metadata.get("session_id"))
    if not session and b"baggage" in headers:
        session = _conversation(headers[b"baggage"])
    if not (user or session or agent or tags):
        return NOBODY
    return Attribution(user, session, agent, tags)


def _name(value: bytes, header: str) -> str:
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(text) > MAX_NAME or not text.isprintable():
        raise InvalidRequest(f"{header} must be 1 to {MAX_NAME} printable characters.", param=header)
    return text


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= MAX_NAME else ""


def _tags(value: bytes) -> tuple[str, ...]:
    right = f"x-gateway-tags must be at most {MAX_TAGS} pairs such as `feature=chat,tier=gold`"
    try:
        found = [pair.strip() for pair in value.decode().split(",") if pair.strip()]
    except UnicodeDecodeError:
        raise InvalidRequest(f"{right}, in UTF-8.", param="x-gateway-tags") from None
    if len(found) > MAX_TAGS:
        raise InvalidRequest(f"{right}; these are {len(found)}.", param="x-gateway-tags")
    for pair in found:
        if not _TAG.fullmatch(pair) or not pair.isprintable() or len(pair) > MAX_NAME:
            raise InvalidRequest(f"{right}; {pair[:50]!a} is none.", param="x-gateway-tags")
    names = {pair.partition("=")[0] for pair in found}
    if len(names) < len(set(found)):
        raise InvalidRequest(f"{right}, each name once.", param="x-gateway-tags")
    return tuple(sorted(set(found)))


def _conversation(baggage: bytes) -> str:
    """https://www.w3.org/TR/baggage/: `name=value;property, name=value`, percent-encoded."""
    for member in baggage.split(b","):
        name, _, value = member.partition(b"=")
        if name.strip() == _CONVERSATION:
            decoded = unquote_to_bytes(value.partition(b";")[0].strip())
            return _text(decoded.decode("utf-8", "replace"))
    return ""
