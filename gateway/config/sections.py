"""The smaller sections: storage, pass-through, idempotency, logs, and the folders that hold everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from gateway.config.base import Bytes, FilePath, Label, Number, Section, SomePath, places, wrong

_SQLITE = "sqlite:///"


def _ledger(url: str, info: ValidationInfo) -> str:
    """A SQLite URL with an absolute path. No message repeats the URL: others hold a password."""
    scheme = url.split(":", 1)[0].lower()
    if scheme.split("+")[0] in ("postgresql", "postgres"):
        raise wrong("PostgreSQL is not available in this version; use sqlite:///data/ledger.db")
    if scheme != "sqlite":
        raise wrong("should be sqlite:///data/ledger.db (PostgreSQL follows in a later version)")
    path = url.removeprefix(_SQLITE)
    if path == url or not path or ":memory:" in path:
        raise wrong("should name a file, as in sqlite:///data/ledger.db: what is written must outlive the process")
    if "?" in path:
        raise wrong("should hold no query; the gateway sets SQLite's options itself")
    return f"{_SQLITE}{places(info).find(Path(path))}"


def _shared(url: str) -> str:
    scheme = url.split(":", 1)[0].lower()
    if scheme in ("redis", "rediss"):
        raise wrong("Redis is not available in this version; use memory://, which all workers of one machine share")
    if url != "memory://":
        raise wrong("should be memory:// (Redis follows in a later version)")
    return url


class Storage(Section):
    """Where state is kept."""

    ledger: Annotated[str, AfterValidator(_ledger)] = "sqlite:///data/ledger.db"
    """The database of keys, objects and, later, bookings."""
    shared: Annotated[str, AfterValidator(_shared)] = "memory://"
    """What workers share while they run."""

    @property
    def ledger_path(self) -> Path:
        """The file that `ledger` names, absolute."""
        return Path(self.ledger.removeprefix(_SQLITE))


class Passthrough(Section):
    """Which provider serves paths whose requests name no model."""

    files: Label | None = None
    """Serves /v1/files; `default` if not given."""
    batches: Label | None = None
    """Serves /v1/batches; `default` if not given. Batches read files, so it is the same provider as a rule."""
    default: Label | None = None
    """Serves every other such path; they answer 404 without it."""


class Idempotency(Section):
    """How retries with the same `Idempotency-Key` are answered."""

    retention: Annotated[Number, Field(gt=0, le=31 * 86_400)] = 86_400.0
    """Seconds an answer is kept for its retries."""
    max_bytes: Bytes = 1024**2
    """The largest answer kept, in bytes; a retry of a larger one gets 409 instead of a second bill."""


class Logs(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe line that is written."""
    access: bool = True
    """Whether each request gets a line."""


class Prompts(Section):
    """Where prompts are."""

    path: SomePath = Path("prompts")
    """A folder; it may be empty or missing."""


class Policies(Section):
    """Where policies are."""

    path: SomePath = Path("policies")
    """A folder; it may be empty or missing."""


class Prices(Section):
    """Where prices are that the catalogue lacks."""

    path: SomePath = Path("prices.yaml")
    """A file; it may be missing."""
    catalogue: FilePath | None = None
    """A newer catalogue than the installed one: genai-prices' data.json, fetched on another machine."""
