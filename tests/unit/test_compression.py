"""Given compressed streams, whole or broken; when they are read; then all that they hold comes, and what is wrong."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable
from typing import cast

import pytest
import zstandard

from tillstream.compression import Decompressed, kind, most_members, unzstd, zstd_compressor

TEXT = b"".join(b"line %d of the file\n" % number for number in range(20_000))
BOMB_BYTES = 200 * 1024 * 1024

# As the command-line tools do, zstd with a checksum.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def plain(data: bytes, name: str) -> Decompressed:
    return Decompressed(cast("io.RawIOBase", io.BytesIO(data)), name)


@pytest.mark.parametrize(("name", "padding"), [("gzip", bytes(1_000)), ("zstd", b"")])
def test_all_members_come_one_after_the_other_with_what_fills_the_file_up(name: str, padding: bytes) -> None:
    compress = COMPRESS[name]
    stream = plain(compress(TEXT) + compress(b"") + compress(b"and more") + padding, name)
    assert io.BufferedReader(stream).read() == TEXT + b"and more"
    assert stream.damage == ""


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("kept", [6, 200, -9, -1])
def test_data_that_break_off_give_what_they_hold_and_say_so(name: str, kept: int) -> None:
    stream = plain(COMPRESS[name](TEXT)[:kept], name)
    assert TEXT.startswith(io.BufferedReader(stream).read())
    assert stream.damage == f"the {name} data end too early"


@pytest.mark.parametrize("name", COMPRESS)
def test_damage_and_what_does_not_belong_there_are_told(name: str) -> None:
    data = bytearray(COMPRESS[name](TEXT))
    data[len(data) // 2] ^= 0xFF
    damaged = plain(bytes(data), name)
    io.BufferedReader(damaged).read()
    assert damaged.damage.startswith(f"the {name} data are broken: ")

    followed = plain(COMPRESS[name](TEXT) + b"something", name)
    assert io.BufferedReader(followed).read() == TEXT
    assert followed.damage.startswith(f"the {name} data are broken: ")


@pytest.mark.parametrize("name", COMPRESS)
def test_a_small_file_that_holds_a_very_large_one_comes_in_small_parts(name: str) -> None:
    stream = plain(COMPRESS[name](bytes(BOMB_BYTES)), name)
    size = 0
    tracemalloc.start()
    while part := stream.read(1024 * 1024):
        size += len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert size == BOMB_BYTES


def test_most_members_is_at_least_their_number() -> None:
    for compress in COMPRESS.values():
        assert most_members(compress(b"one") + compress(b"") + compress(b"two")) == 3
    assert most_members(b"\x50\x2a\x4d\x18" + bytes(4)) == 1


def test_the_kind_is_told_by_the_first_bytes() -> None:
    assert [kind(compress(b"x")) for compress in COMPRESS.values()] == list(COMPRESS)
    assert kind(b"\x50\x2a\x4d\x18rest") == "zstd"
    assert kind(b"") == kind(b"{}") == kind(b"PK\x03\x04") == ""


def test_a_frame_with_a_larger_window_than_the_limit_is_damaged() -> None:
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=24))
    data = wide.compress(os.urandom(1_000) * 20_000)
    narrow = Decompressed(cast("io.RawIOBase", io.BytesIO(data)), "zstd", window_bytes=8 * 1024 * 1024)
    assert io.BufferedReader(narrow).read() == b""
    assert narrow.damage.startswith("the zstd data are broken")


def test_frames_of_the_log_are_read_by_any_zstd_and_theirs_by_the_log() -> None:
    compress = zstd_compressor()
    for text in (TEXT, b"", TEXT[:10]):
        frame = compress(text)
        assert zstandard.frame_content_size(frame) == len(text)
        assert zstandard.decompress(frame) == text
        assert unzstd(zstandard.compress(text, level=1), len(text) + 1) == text


@pytest.mark.parametrize("cut", [None, 0, 6, -1])
def test_a_frame_over_the_limit_or_cut_short_is_refused(cut: int | None) -> None:
    frame = zstd_compressor()(TEXT)
    with pytest.raises(ValueError, match="incomplete or holds more than"):
        unzstd(frame[:cut], len(TEXT) - 1 if cut is None else len(TEXT))
