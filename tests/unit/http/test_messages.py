"""A request is cross-site if a page of another site made a browser send it."""

from __future__ import annotations

import pytest

from tillstream.http.messages import is_cross_site


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({b"host": b"till:3000"}, False),
        ({b"host": b"till:3000", b"origin": b"http://till:3000"}, False),
        ({b"host": b"Till:3000", b"origin": b"https://tiLL:3000", b"sec-fetch-site": b"same-origin"}, False),
        ({b"host": b"till:3000", b"sec-fetch-site": b"none"}, False),
        ({b"host": b"till:3000", b"origin": b"http://till"}, True),
        ({b"host": b"till:3000", b"origin": b"http://evil.example"}, True),
        ({b"host": b"till:3000", b"origin": b"null"}, True),
        ({b"host": b"till:3000", b"origin": b""}, True),
        ({b"origin": b"null"}, True),
        ({b"host": b"till:3000", b"origin": b"http://till:3000", b"sec-fetch-site": b"cross-site"}, True),
        ({b"host": b"till:3000", b"sec-fetch-site": b"same-site"}, True),
    ],
)
def test_only_pages_of_another_address_are_foreign(headers: dict[bytes, bytes], is_foreign: bool) -> None:
    assert is_cross_site(headers) is is_foreign
