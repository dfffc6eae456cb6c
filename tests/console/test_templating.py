"""Text on its way into a page."""

from __future__ import annotations

import pytest

from gateway.console.templating import ticked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("unknown key `modles`", "unknown key <code>modles</code>"),
        ("a `b` and `c`", "a <code>b</code> and <code>c</code>"),
        ("one ` alone", "one ` alone"),
        ("<b> & `<script>`", "&lt;b&gt; &amp; <code>&lt;script&gt;</code>"),
    ],
)
def test_what_stands_in_backticks_is_code_and_nothing_in_it_is_markup(text: str, html: str) -> None:
    assert ticked(text) == html
