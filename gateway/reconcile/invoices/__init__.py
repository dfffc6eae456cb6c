"""The formats of invoices: one file each, with `read`, which gives lines and faults one by one, and `fits`.

`fits(head)` tells by a file's first characters whether it is of that format. The last one, the generic CSV, fits all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Final, TextIO

from gateway.errors import GatewayError
from gateway.reconcile.invoices import anthropic_costs, anthropic_csv, generic_csv, openai_costs
from gateway.reconcile.model import Fault, Item

HEAD: Final = 4096


@dataclass(frozen=True, slots=True)
class Names:
    """What a person says about names: columns of a generic CSV, and models and meters by the invoice's words."""

    columns: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    meters: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[TextIO, Mapping[str, str]], Iterator[Item | Fault]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format; `read` takes the open file and the names of columns."""

    name: str
    title: str
    fits: Callable[[str], bool]
    read: Read


FORMATS: Final = (
    Format("openai-costs", "OpenAI's /v1/organization/costs", openai_costs.fits, openai_costs.read),
    Format("anthropic-costs", "Anthropic's /v1/organizations/cost_report", anthropic_costs.fits, anthropic_costs.read),
    Format("anthropic-csv", "the cost export of Anthropic's console", anthropic_csv.fits, anthropic_csv.read),
    Format("csv", "any CSV, by a map of columns", generic_csv.fits, generic_csv.read),
)


class Opened:
    """An invoice that is being read; `digest` is right when its lines have been read to the end."""

    def __init__(self, format: Format, file: TextIO, names: Names, digest: Callable[[], str]) -> None:
        self.format = format
        self._file = file
        self._names = names
        self._digest = digest

    def __iter__(self) -> Iterator[Item | Fault]:
        return self.format.read(self._file, self._names.columns)

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        while self._file.read(1 << 16):
            pass
        return self._digest()


@contextmanager
def opened(path: Path, format: str, names: Names) -> Iterator[Opened]:
    """Open an invoice. `format` is a format's name, or `auto`. Raises `GatewayError` if it cannot be read."""
    try:
        with path.open("rb") as raw:
            hashed = _Hashed(raw)
            head = raw.read(HEAD).decode("utf-8-sig", "replace")
            raw.seek(0)
            found = next(one for one in FORMATS if (one.fits(head) if format == "auto" else one.name == format))
            file = TextIOWrapper(hashed, encoding="utf-8-sig", errors="replace", newline="")  # type: ignore[type-var]
            yield Opened(found, file, names, hashed.digest)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from error


class _Hashed:
    """A binary file that adds up its digest as it is read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._seen = hashlib.sha256()
        self.closed = False

    def read1(self, size: int = -1) -> bytes:
        found = self._raw.read(size)
        self._seen.update(found)
        return found

    read = read1

    def digest(self) -> str:
        return self._seen.hexdigest()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Whoever has opened the file closes it."""
