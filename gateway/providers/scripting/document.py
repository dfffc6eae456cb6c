"""YAML text to plain data, with the line of every key: safe types only, and bounded before anything is built.

A few hundred bytes of nested aliases can stand for gigabytes, so aliases are counted as parsing events go by, and the
tree they expand to is bounded too. A key that stands twice is refused: YAML would silently keep the last.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 4 << 20
MAX_ALIASES = 200
MAX_NODES = 200_000
MAX_DEPTH = 40

_PLAIN = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
Lines = dict[tuple[str | int, ...], int]


class BadDocument(ValueError):
    """The text is no YAML, or over a bound; `line` counts from 1, or is None."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse(text: str) -> tuple[Any, Lines]:
    """The data, and the line of each path into it (counting from 1). Raises `BadDocument`."""
    if len(text) > MAX_BYTES:
        raise BadDocument(f"the file is over {MAX_BYTES} bytes")
    try:
        _count_aliases(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise BadDocument(error.problem or "not YAML", mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadDocument(f"not YAML: {error}") from None
    if node is None:
        return None, {}
    builder = _Builder()
    return builder.build(node, ()), builder.lines


def _count_aliases(text: str) -> None:
    aliases = depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if aliases > MAX_ALIASES:
            raise BadDocument(f"more than {MAX_ALIASES} aliases", _line(event.start_mark))
        if depth > MAX_DEPTH:
            raise BadDocument(f"nested deeper than {MAX_DEPTH}", _line(event.start_mark))


def _line(mark: yaml.Mark | Any) -> int | None:
    return mark.line + 1 if mark is not None else None


class _Builder:
    """Builds data from nodes and notes lines. Aliases are expanded here, so this is where their product is bounded."""

    def __init__(self) -> None:
        self.lines: Lines = {}
        self._left = MAX_NODES
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._left -= 1
        if self._left < 0 or len(path) > MAX_DEPTH:
            raise BadDocument(f"expands to more than {MAX_NODES} values or {MAX_DEPTH} levels", line)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise BadDocument(f"the tag `{node.tag}` is not known", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise BadDocument(getattr(error, "problem", None) or str(error), line) from None

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key, str):
                raise BadDocument("a key is a plain word", line)
            if key in built:
                raise BadDocument(f"the key `{key}` stands twice", line)
            self.lines[(*path, key)] = line
            built[key] = self.build(value_node, (*path, key))
        return built
