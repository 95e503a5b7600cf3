"""Events as bytes: made once, and right in any stream, plain or gzip."""

from __future__ import annotations

import zlib

import pytest

from tillstream.web.live.events import accepts_gzip, event, preamble


def unpacked(stream: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(stream)


def test_given_data_when_made_an_event_then_it_is_a_server_sent_event() -> None:
    assert event(7, "overview", b'{"a":1}').plain == b'id: 7\nevent: overview\ndata: {"a":1}\n\n'


def test_given_streams_that_took_other_events_when_unpacked_then_each_has_what_was_sent_to_it() -> None:
    events = [event(number, "overview", b'{"revenue":"%d.00"}' % number * 40) for number in range(1, 5)]
    for taken in (events, events[::2], events[2:]):
        stream = preamble(1_000, gzip=True) + b"".join(each.compressed for each in taken)
        text = preamble(1_000, gzip=False) + b"".join(each.plain for each in taken)
        assert unpacked(stream) == text


def test_given_a_part_of_a_stream_when_unpacked_then_every_event_so_far_is_whole() -> None:
    stream = preamble(1_000, gzip=True)
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unpacking.decompress(stream) == b"retry: 1000\n\n"
    for number in (1, 2):
        sent = event(number, "overview", b'{"revenue":"1.00"}')
        assert unpacking.decompress(sent.encoded(gzip=True)) == sent.encoded(gzip=False)


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP ; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
    ],
)
def test_given_an_accept_encoding_when_asked_then_it_says_whether_gzip_may_come(accepted: str, taken: bool) -> None:
    assert accepts_gzip(accepted) is taken
