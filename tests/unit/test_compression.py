"""Given compressed streams, whole or broken; when they are read; then all that they hold comes, and what is wrong."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from typing import cast

import pytest
import zstandard

from tillstream.compression import Decompressed, kind, unzstd, zstd_compressor

TEXT = b"".join(b"line %d of the file\n" % number for number in range(20_000))
BOMB_BYTES = 200 * 1024 * 1024

# As the command-line tools do, zstd with a checksum.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def plain(data: bytes, name: str) -> Decompressed:
    return Decompressed(cast("io.RawIOBase", io.BytesIO(data)), name)


@pytest.mark.parametrize("name", COMPRESS)
def test_all_members_come_one_after_the_other_with_what_fills_the_file_up(name: str) -> None:
    compress = COMPRESS[name]
    stream = plain(compress(TEXT) + compress(b"") + compress(b"and more") + bytes(1_000), name)
    assert io.BufferedReader(stream).read() == TEXT + b"and more"
    assert stream.trouble == ""


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("kept", [6, 200, -9, -1])
def test_data_that_break_off_give_what_they_hold_and_say_so(name: str, kept: int) -> None:
    stream = plain(COMPRESS[name](TEXT)[:kept], name)
    assert TEXT.startswith(io.BufferedReader(stream).read())
    assert stream.trouble == f"the {name} data end too early"


@pytest.mark.parametrize("name", COMPRESS)
def test_damage_and_what_does_not_belong_there_are_told(name: str) -> None:
    data = bytearray(COMPRESS[name](TEXT))
    data[len(data) // 2] ^= 0xFF
    damaged = plain(bytes(data), name)
    io.BufferedReader(damaged).read()
    assert damaged.trouble.startswith(f"the {name} data are broken: ")

    followed = plain(COMPRESS[name](TEXT) + b"something", name)
    assert io.BufferedReader(followed).read() == TEXT
    assert followed.trouble == f"unknown data follow the {name} data"


@pytest.mark.parametrize("name", COMPRESS)
def test_a_small_file_that_holds_a_very_large_one_comes_in_small_parts(name: str) -> None:
    stream = plain(COMPRESS[name](bytes(BOMB_BYTES)), name)
    size = 0
    while part := stream.read(1024 * 1024):
        size += len(part)
        assert len(stream._ready) <= 64 * 1024 * 1024
    assert size == BOMB_BYTES


def test_the_kind_is_told_by_the_first_bytes() -> None:
    assert [kind(compress(b"x")) for compress in COMPRESS.values()] == list(COMPRESS)
    assert kind(b"\x50\x2a\x4d\x18rest") == "zstd"
    assert kind(b"") == kind(b"{}") == kind(b"PK\x03\x04") == ""


@pytest.mark.parametrize("name", COMPRESS)
def test_members_and_windows_have_limits_where_they_are_asked_for(name: str) -> None:
    several = COMPRESS[name](b"one") + COMPRESS[name](b"two")
    limited = Decompressed(cast("io.RawIOBase", io.BytesIO(several)), name, members_limit=1)
    assert io.BufferedReader(limited).read() == b"one"
    assert limited.trouble == f"the {name} data have too many members"
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=24))
    data = wide.compress(os.urandom(1_000) * 20_000)
    narrow = Decompressed(cast("io.RawIOBase", io.BytesIO(data)), "zstd", window_bytes=8 * 1024 * 1024)
    assert io.BufferedReader(narrow).read() == b""
    assert narrow.trouble.startswith("the zstd data are broken")


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
