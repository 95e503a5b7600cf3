"""Requests are encoded and responses are parsed."""

from __future__ import annotations

import pytest

from tillstream.client.messages import ANSWER_LIMIT_BYTES, Answer, BadAnswer, head, parse, target
from tillstream.errors import OperationalError

ANSWER = b'HTTP/1.1 503 Service Unavailable\r\nRETRY-AFTER: 2\r\nContent-Length: 7\r\n\r\n{"a":1}'


def test_a_response_is_parsed_only_when_it_is_complete() -> None:
    assert parse(ANSWER) == Answer(503, 2.0, b'{"a":1}')
    for length in range(len(ANSWER)):
        assert parse(ANSWER[:length]) is None


def test_the_length_may_be_anywhere_in_the_headers() -> None:
    assert parse(b"HTTP/1.1 202 Accepted\r\ncontent-length:2\r\nServer: x\r\n\r\n{}") == Answer(202, None, b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 99999999999\r\n\r\n",
        b"x" * (ANSWER_LIMIT_BYTES + 1),
    ],
)
def test_other_bytes_are_a_bad_answer(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse(data)


def test_a_date_in_retry_after_is_ignored() -> None:
    told = parse(b"HTTP/1.1 429 x\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n")

    assert told == Answer(429, None, b"")


@pytest.mark.parametrize(
    ("url", "authority", "base"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:3000", ""),
        ("http://localhost/", "localhost:80", ""),
        ("https://tills.example/in/", "tills.example:443", "/in"),
        ("http://[::1]:3000", "[::1]:3000", ""),
    ],
)
def test_an_address_is_parsed(url: str, authority: str, base: str) -> None:
    to = target(url)

    assert (to.authority, to.base, to.tls) == (authority, base, url.startswith("https"))


@pytest.mark.parametrize(
    "url", ["", "localhost:3000", "ftp://x", "http://", "http://x:port", "http://x:99999", "http://a..b:80"]
)
def test_a_wrong_address_is_an_error_with_an_example(url: str) -> None:
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1:3000"):
        target(url)


def test_simulated_receipts_are_marked_in_the_head() -> None:
    to = target("http://127.0.0.1:3000/in")

    assert head(to, "/receipt", "application/json", simulated=True) == (
        b"POST /in/receipt HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nContent-Type: application/json\r\n"
        b"Tillstream-Source: simulated\r\nContent-Length: "
    )
    assert b"simulated" not in head(to, "/receipt", "application/json", simulated=False)


def test_the_head_has_the_key_if_there_is_one() -> None:
    to = target("http://127.0.0.1:3000")
    assert b"\r\nAuthorization: Bearer ts_1\r\n" in head(to, "/receipt", "application/json", False, "ts_1")
    assert b"Authorization" not in head(to, "/receipt", "application/json", simulated=False)
