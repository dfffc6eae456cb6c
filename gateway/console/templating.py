"""Templates and static files of the console, out of the package: read once, escaped always.

A static file's address carries the digest of its content, so that browsers keep it for a year and still see a new one
at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import Response

from gateway import __version__
from gateway.console import words
from gateway.console.guard import HEADERS
from gateway.console.traffic import Percentile

_TYPES: Final = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


class Templates:
    """Renders pages."""

    def __init__(self) -> None:
        self._files = {name: (files(__package__) / "static" / name).read_bytes() for name in _TYPES}
        self._environment = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "moment": words.moment,
            "day": words.day,
            "span": words.span,
            "count": words.count,
            "percentile": _percentile,
            "ticked": ticked,
        }
        self._environment.globals |= {
            "version": __version__,
            "css": self._address("console.css"),
            "icon": self._address("icon.svg"),
        }

    def __repr__(self) -> str:
        return f"<Templates with {len(self._files)} static files>"

    def text(self, template: str, values: Mapping[str, object]) -> str:
        """A page's HTML."""
        return self._environment.get_template(template).render(values)

    def static(self, name: str) -> Response | None:
        """A static file; `None` if there is none of this name."""
        content = self._files.get(name)
        if content is None:
            return None
        headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
        return Response(content, headers=headers, media_type=_TYPES[name])

    def _address(self, name: str) -> str:
        return f"/console/static/{name}?{hashlib.sha256(self._files[name]).hexdigest()[:12]}"


def ticked(text: str) -> Markup:
    """A message with what it has in `backticks` as code; everything in it is escaped first."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _percentile(value: Percentile | None) -> str:
    if value is None:
        return words.NOTHING
    return {"about": "", "less": "<", "more": ">"}[value.known] + words.latency(value.seconds)
