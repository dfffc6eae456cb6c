"""Members of a request, checked as they are taken: `InvalidRequest` says which is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gateway.errors import InvalidRequest
from gateway.model.conversation import CacheTtl

Object = Mapping[str, Any]


def source_of(source: Object, path: str) -> dict[str, Any] | None:
    """Where the bytes are; None where there is no word for that."""
    match source.get("type"):
        case "base64":
            return {"data": string(source, "data", path)}
        case "url":
            return {"url": string(source, "url", path)}
        case "file":
            return {"file_id": string(source, "file_id", path)}
    return None


def joined(content: object) -> str | None:
    """The text of a document made of blocks; None if there is more in it."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(one, dict) and one.get("type") == "text" for one in content):
        return None
    return "\n".join(str(one.get("text") or "") for one in content)


def cites(block: Object) -> bool:
    config = block.get("citations")
    return isinstance(config, dict) and config.get("enabled") is True


def cache(found: Object, path: str) -> CacheTtl | None:
    mark = found.get("cache_control")
    if mark is None:
        return None
    ttl = (mark.get("ttl") or "5m") if isinstance(mark, dict) and mark.get("type") == "ephemeral" else None
    if ttl not in ("5m", "1h"):
        raise wrong(f"{path}.cache_control", mark, 'such as {"type": "ephemeral", "ttl": "5m"}, or "1h"')
    return cast("CacheTtl", ttl)


def string(found: Object, name: str, path: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise wrong(f"{path}.{name}", value, "a string")
    return value


def optional(found: Object, name: str, path: str) -> str:
    """A string, empty if it is not said."""
    return "" if found.get(name) is None else string(found, name, path)


def flag(found: Object, name: str, path: str) -> bool | None:
    """A truth value, if it is said."""
    value = found.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(f"{path}.{name}", value, "true or false")
    return value


def an_object(found: Object, name: str, path: str) -> dict[str, Any]:
    value = found.get(name)
    if not isinstance(value, dict):
        raise wrong(f"{path}.{name}", value, "an object")
    return value


def typed(found: Object, name: str, kind: type, right: str, path: str = "") -> Any:
    """The member `name` if it is said. Whole numbers count as numbers, truth values as none."""
    value = found.get(name)
    kinds = (int, float) if kind is float else (kind,)
    if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
        raise wrong(f"{path}{name}", value, right)
    return value


def wrong(param: str, value: object, right: str) -> InvalidRequest:
    """What is wrong with `param`, and what would be right."""
    if value is None:
        return InvalidRequest(f"`{param}` is missing; it must be {right}.", code="missing_field", param=param)
    shown = f"`{value}`" if isinstance(value, str) and len(value) <= 40 else _KINDS.get(type(value), "this")
    return InvalidRequest(f"`{param}` must be {right}, not {shown}.", code="invalid_type", param=param)


_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array", dict: "an object"}
