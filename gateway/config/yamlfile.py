"""A YAML file as plain data, with the line of every key and item, so that a fault found later still has its place.

Semantics are those of PyYAML's SafeLoader, with four things taken away: files over a size, nesting over a depth,
aliases that unfold into more than they should (the "billion laughs"), and keys that stand twice in one mapping, of
which YAML would silently keep the last. Keys are text as written, so that a model may be called `4` or `on`.

The file is walked twice: once as a flat run of events, because composing recurses and deep nesting would exhaust the
stack before anybody could refuse it, and once as a tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import ConfigError, Fault

try:
    from yaml import CSafeLoader as Loader  # ten times as fast: 10,000 models load in one second, not ten
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

Loc = tuple[int | str, ...]

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
MAX_ALIASES = 1_000
MAX_UNFOLDED = 100_000  # nodes that aliases repeat; a tenth of a second's work

_MERGE = "tag:yaml.org,2002:merge"
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says: `data` is dicts (text keys), lists and scalars; `lines` counts from 1."""

    data: Any
    lines: Mapping[Loc, int]

    def line(self, loc: Loc) -> int | None:
        """The line of the key or item at `loc`, or of the nearest thing around it that the file has.

        Parts of `loc` that are not in the file are passed over: pydantic puts the tag of a union among them.
        """
        known: Loc = ()
        for part in loc:
            if (*known, part) in self.lines:
                known = (*known, part)
        return self.lines.get(known)


def load(path: Path) -> Document:
    """Read one file. Raises `ConfigError` with every fault that YAML itself can have."""
    document, faults = examine(path)
    if faults:
        raise ConfigError(faults)
    return document


def examine(path: Path) -> tuple[Document, list[Fault]]:
    """Read one file and list the faults that leave it readable: keys that stand twice, scalars that are none.

    Raises `ConfigError` if there is nothing to go on with: no such file, not YAML, over a cap.
    """
    return parse(_text(path), str(path))


def parse(text: str, file: str) -> tuple[Document, list[Fault]]:
    """The same for text in hand; `file` is the name that faults carry."""
    try:
        _guard(text, file)
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            builder = _Builder(file, loader)
            data = None if node is None else builder.build(node, (), 0)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError([_fault(error, text, file)]) from None
    return Document(data, builder.lines), builder.faults


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Fault(str(path), None, f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError([Fault(str(path), None, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Fault(str(path), line, "is not UTF-8 text")]) from None


def _guard(text: str, file: str) -> None:
    """Refuse what must not be composed into a tree."""
    depth = aliases = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            what = f"is nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"has over {MAX_ALIASES} aliases"
            raise ConfigError([Fault(file, _line(event), what)])


@dataclass(slots=True)
class _Builder:
    """Turns nodes into data and remembers where they stood."""

    file: str
    loader: Any
    lines: dict[Loc, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    unfolded: int = 0

    def build(self, node: yaml.Node, loc: Loc, depth: int) -> Any:
        self._count(node, depth)
        self.lines.setdefault(loc, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return {key: self.build(value, (*loc, key), depth + 1) for key, value in self._entries(node, loc, depth)}
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self.build(item, (*loc, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._fault(node, f"the tag {_short(node.tag)} is not accepted here")
        return None

    def _count(self, node: yaml.Node, depth: int) -> None:
        # A node that was built before is here again by an alias; one that holds itself runs into the depth.
        if id(node) in self.seen:
            self.unfolded += 1
        self.seen.add(id(node))
        if depth > MAX_DEPTH:
            raise ConfigError([Fault(self.file, _line(node), f"is nested deeper than {MAX_DEPTH}")])
        if self.unfolded > MAX_UNFOLDED:
            message = f"aliases unfold into more than {MAX_UNFOLDED} values"
            raise ConfigError([Fault(self.file, _line(node), message)])

    def _entries(self, node: yaml.MappingNode, loc: Loc, depth: int) -> Iterator[tuple[str, yaml.Node]]:
        """The pairs of a mapping, its own first; what `<<` merges in comes after and never overrides."""
        taken: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value in node.value:
            if key_node.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key must be plain text")
            elif key_node.value in taken:
                first = taken[key_node.value]
                self._fault(key_node, f"the key `{key_node.value}` stands here a second time (first: line {first})")
            else:
                taken[key_node.value] = _line(key_node)
                self.lines.setdefault((*loc, key_node.value), _line(key_node))
                yield key_node.value, value
        for source in merged:
            yield from self._merge(source, taken, loc, depth + 1)

    def _merge(self, source: yaml.Node, taken: dict[str, int], loc: Loc, depth: int) -> Iterator[tuple[str, yaml.Node]]:
        if not isinstance(source, yaml.MappingNode):
            self._fault(source, "`<<` merges mappings only")
            return
        self._count(source, depth)
        for key, value in self._entries(source, loc, depth):
            if key not in taken:
                taken[key] = _line(source)
                yield key, value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.loader.construct_object(node)
        except yaml.constructor.ConstructorError:
            self._fault(node, f"the tag {_short(node.tag)} is not accepted here")
        except ValueError:  # a date that no calendar has, a number of too many digits
            self._fault(node, f"is no {_short(node.tag).strip('!')}; put it in quotes if it is text")
        return None

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(self.file, _line(node), message))


def _line(node: yaml.Node | yaml.Event) -> int:
    return 1 if node.start_mark is None else node.start_mark.line + 1


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _fault(error: yaml.YAMLError, text: str, file: str) -> Fault:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Fault(file, line, f"is not YAML: a character that may not stand here (U+{_code_point(error):04X})")
    if not isinstance(error, yaml.MarkedYAMLError):
        return Fault(file, None, "is not YAML")
    parts = [part for part in (error.context, error.problem) if part]
    message = f"is not YAML: {', '.join(parts)}"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(file, None, message)
    return Fault(file, mark.line + 1, message + _hint(text.split("\n")[mark.line :][:1]))


def _hint(line: list[str]) -> str:
    """What commonly is the matter with such a line."""
    if any("\t" in text for text in line):
        return "; YAML is indented with spaces, this line has a tab"
    if any("${" in text for text in line):
        return '; put "${NAME}" in quotes'
    return ""


def _code_point(error: yaml.reader.ReaderError) -> int:
    character = error.character
    return ord(character) if isinstance(character, str) else int(character)
