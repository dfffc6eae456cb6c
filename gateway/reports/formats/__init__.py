"""How a table is written: to a terminal, for programs, for a spreadsheet, for paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.reports.base import Table
from gateway.reports.formats import data, page, spreadsheet, terminal

FormatName = Literal["table", "csv", "json", "xlsx", "html"]
NAMES: tuple[FormatName, ...] = get_args(FormatName)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a table: as bytes, of this media type, in a file that ends like this."""

    write: Callable[[Table], bytes]
    media_type: str
    suffix: str


FORMATS: Mapping[FormatName, Format] = {
    "table": Format(terminal.write, "text/plain; charset=utf-8", "txt"),
    "csv": Format(data.write_csv, "text/csv; charset=utf-8", "csv"),
    "json": Format(data.write_json, "application/json", "json"),
    "xlsx": Format(spreadsheet.write, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    "html": Format(page.write, "text/html; charset=utf-8", "html"),
}
