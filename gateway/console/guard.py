"""What stands between the console and other sites: response headers, the origin of a form, the size of a form.

The pages need no script and no style but their own file, so the policy allows nothing else. A form is taken from our
own pages only: browsers say where one comes from, and what is no browser carries no cookie that it was not given.
Source: Fetch Metadata Request Headers (W3C), RFC 6454 for `Origin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from gateway.errors import Forbidden, InvalidRequest, TooLarge

MAX_FORM: Final = 4096  # bytes; a key has 63 characters

# `same-origin` and not `no-referrer`: under the latter browsers send `Origin: null` with our own forms too.
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent, the first of each name.

    Raises `Forbidden` for another site's, `TooLarge` over `MAX_FORM`, and `InvalidRequest` for what is no form.
    """
    if not is_own(request.headers):
        raise Forbidden("This form came from another site. Open the console itself and try there.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise InvalidRequest("This is not a form of the console. Open the page again and try there.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise TooLarge(f"The form is larger than {MAX_FORM} bytes. A key has 63 characters; was it a whole file?")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise InvalidRequest("This form cannot be read. Open the page again and try there.") from None
    return dict(reversed(fields))


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether a form that came with `headers` is from a page of this very origin, or from no browser at all."""
    site = headers.get("sec-fetch-site")
    if site == "same-origin":
        return True
    if site not in (None, "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
