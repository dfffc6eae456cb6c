"""A form read along as it passes: one field is found, wherever the body is cut, and doubt is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.multipart import MAX_PART_HEAD, FieldScanner, boundary
from gateway.errors import InvalidRequest

FORM = (
    b'preamble\r\n--XX\r\nContent-Disposition: form-data; name="file"; filename="a; name=model"\r\n'
    b'Content-Type: audio/wav\r\n\r\n\r\n--X\r\nname="model"\r\n--XX-not\r\r\n\r\n'
    b"--XX\r\ncontent-disposition:form-data;name=model\r\n\r\nmy/model\r\n"
    b'--XX\r\nContent-Disposition: form-data; name="x"\r\n\r\nmodel\r\n--XX--\r\nepilogue\r\n--XX\r\n'
).replace(b"--XX-not", b"--XY")


def scan(*pieces: bytes) -> FieldScanner:
    scanner = FieldScanner(b"XX", "model")
    for piece in pieces:
        scanner.feed(piece)
    return scanner


@pytest.mark.parametrize("at", range(len(FORM)))
def test_the_field_is_found_wherever_the_form_is_cut(at: int) -> None:
    scanner = scan(FORM[:at], FORM[at:])
    assert scanner.value == "my/model" and FORM[scanner.start : scanner.end] == b"my/model" and scanner.closed
    assert scanner.first == len(b"preamble\r\n")


@given(st.integers(1, 50))
def test_the_field_is_found_in_pieces_of_any_size(size: int) -> None:
    assert scan(*[FORM[at : at + size] for at in range(0, len(FORM), size)]).value == "my/model"


@given(st.binary(max_size=300), st.integers(1, 40))
def test_no_bytes_crash_it(data: bytes, size: int) -> None:
    try:
        scan(b"--XX\r\n", *[data[at : at + size] for at in range(0, len(data), size)])
    except InvalidRequest as error:
        assert error.code == "invalid_form"


def test_a_large_file_is_not_held() -> None:
    scanner = scan(b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n')
    for _ in range(100):
        scanner.feed(b"x" * 10_000)
        assert len(scanner._window) < 100


def test_what_follows_the_end_is_not_held_either() -> None:
    scanner = scan(b"--XX--")
    scanner.feed(b"x" * 100_000)
    assert len(scanner._window) < 100


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="model"\r\nContent-Disposition: form-data; name="x"',
        b'Content-Disposition: form-data;\r\n name="model"',
        b'Content-Disposition: form-data; name="model"; name="x"',
        b"Content-Disposition: form-data; name*=UTF-8''model",
        b'Content-Disposition: attachment; name="model"',
        b'Content-Disposition : form-data; name="model"',
        b'Content-Disposition: form-data; name="model"; filename="x"',
        b"Content-Type: text/plain",
        b"no colon",
        b'Content-Disposition: form-data; name="mo\ndel"',
        b"x: " + b"y" * (MAX_PART_HEAD + 10),
        b"",
    ],
)
def test_a_part_that_parsers_read_differently_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidRequest):
        scan(b"--XX\r\n" + head + b"\r\n\r\nm\r\n--XX--")


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        (b"multipart/form-data; boundary=XX", b"XX"),
        (b'Multipart/Form-Data; charset=utf-8; Boundary="a b;c"', b"a b;c"),
        (b"multipart/form-data;boundary=--x; charset=utf-8", b"--x"),
    ],
)
def test_a_boundary_is_read(content_type: bytes, found: bytes) -> None:
    assert boundary(content_type) == found


@pytest.mark.parametrize(
    "content_type", [b"", b"text/plain; boundary=x", b"multipart/form-data; boundary=" + b"x" * 99]
)
def test_what_names_no_boundary_is_refused(content_type: bytes) -> None:
    with pytest.raises(InvalidRequest):
        boundary(content_type)
