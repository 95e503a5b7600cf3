"""Mutations of valid files. The seed and the documents determine a mutation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

LARGE_BYTES = 24 * 1024
HUGE_BYTES = 1024 * 1024
"""Size limits of mutations. The second applies to one in `HUGE_EVERY` mutations."""

HUGE_EVERY = 2_000
FOREIGN_EVERY = 12
"""One in this many mutations is made from a document of another format."""

NUMBERS = (
    b"0", b"-0", b"00", b"-1", b"+1", b".5", b"5.", b"1e5", b"1e400", b"-1e400", b"1e-400", b"1E+99999", b"NaN",
    b"Infinity", b"-inf", b"null", b"true", b'""', b"0x10", b"1_000", b"1 000", b"1,5", b"1,500", b"1.500,00",
    b"9999999999999", b"10000000000000", b"-10000000000000", b"9999999999999.9999995", b"9007199254740993",
    b"18446744073709551616", b"-9223372036854775809", b"3.3600000000000003", b"0." + b"0" * 60 + b"1", b"9" * 41,
    b"9" * 400, b"9" * 5_000, b"1." + b"3" * 5_000, "１２".encode(), "٣".encode(), "½".encode(), "−1".encode(),
)  # fmt: skip

DATES = (
    b"2026-02-30", b"0000-00-00", b"0001-01-01", b"9999-12-31", b"9998-12-31", b"1969-12-31", b"2026-11-23T24:00:00",
    b"2026-11-23 23:59:60", b"2026-W48-1", b"2026-11-23T10:15:00+14:00", b"2026-11-23T10:15:00-99:99", b"20261123",
    b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+01:00", b"2026-11-23", b"10:15",
)  # fmt: skip

TOKENS = (
    b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\x1b[31m", b"\x7f", b"\x85", b"\x0b", b"\x0c", b"\r",
    b"\n", b"\r\n", b"\t", b" ", "\u2028".encode(), "\u00a0".encode(), "\u202e".encode(), "\ufeff".encode(),
    "\U0001f950".encode(), "e\u0301".encode(), b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"\\u00", b"\\", b"\\x",
    b'"', b'""', b'"""', b"'", b",", b";", b":", b"=", b"&", b"&&", b"%", b"%00", b"%0A", b"%ZZ", b"%ED%A0%80", b"+",
    b"{", b"}", b"[", b"]", b"[]", b"{}", b"[[", b"]]", b"null", b"true", b"lines[0].", b"lines[99999].quantity=1",
    b"lines[000000].quantity=1", b"settlements%5B1%5D", b"<", b">", b"</", b"/>", b"<a>", b"</a>", b"<!--", b"-->",
    b"<![CDATA[", b"]]>", b"<?", b"?>", b"<?xml version='1.0' encoding='utf-16'?>", b"<?xml version='1.1'?>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", b"<!ENTITY % b SYSTEM 'c'>%b;",
    b"&b;", b"&#0;", b"&#xD800;", b"&#x110000;", b"&amp;", b"&lt;", b' xmlns="urn:a"', b' xmlns:a="urn:a"',
    b"encoding='cp037'", b"PK\x03\x04", b"\x1f\x8b\x08", b"=cmd|' /C calc'!A0", b"__proto__",
)  # fmt: skip

NESTS = (b"[", b"{", b'{"a":', b'[{"lines":', b"<a>", b"<receipt>", b"<Transaction>", b"(", b'"', b"<!--", b"lines.")
CHARSETS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp500")

_NUMBER = re.compile(rb"-?[0-9]+(?:[.,][0-9]+)?")
_DATE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:.]+Z?)?")
_QUOTED = re.compile(rb'"[^"]{0,200}"|>[^<>]{0,200}<')
_SPLICES = re.compile(rb"[\n,;&>}\]]")


class Mutator:
    """Makes mutations of the documents of one format, mixed with documents of other formats."""

    def __init__(self, documents: Sequence[bytes], others: Sequence[bytes]) -> None:
        self._documents = documents
        self._others = others or documents

    def mutation(self, seed: str) -> bytes:
        """The mutation for this seed."""
        random = Random(seed)
        limit = HUGE_BYTES if random.randrange(HUGE_EVERY) == 0 else LARGE_BYTES
        payload = self._document(random)
        while True:
            payload = random.choice(_OPERATORS)(random, payload, self._document)[:limit]
            # The probability of another change is one half.
            if random.random() < 0.5:
                return payload

    def _document(self, random: Random) -> bytes:
        return random.choice(self._documents if random.randrange(FOREIGN_EVERY) else self._others)


Pick = Callable[[Random], bytes]
Operator = Callable[[Random, bytes, Pick], bytes]


def _slice(random: Random, payload: bytes, longest: int = 200) -> tuple[int, int]:
    start = random.randrange(len(payload) + 1)
    return start, min(len(payload), start + random.randint(1, longest))


def _flip(random: Random, payload: bytes, _: Pick) -> bytes:
    changed = bytearray(payload)
    for _each in range(min(len(changed), random.randint(1, 4))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, payload: bytes, _: Pick) -> bytes:
    start, end = _slice(random, payload, 8)
    return payload[:start] + random.randbytes(end - start) + payload[end:]


def _delete(random: Random, payload: bytes, _: Pick) -> bytes:
    start, end = _slice(random, payload)
    return payload[:start] + payload[end:]


def _duplicate(random: Random, payload: bytes, _: Pick) -> bytes:
    start, end = _slice(random, payload)
    return payload[:end] + payload[start:end] * random.randint(1, 3) + payload[end:]


def _duplicate_part(random: Random, payload: bytes, _: Pick) -> bytes:
    """Copy the bytes between two separators, such as a line, a field, an element or an object member."""
    positions = [found.end() for found in _SPLICES.finditer(payload)]
    if len(positions) < 2:
        return payload + payload
    at = random.randrange(len(positions) - 1)
    start, end = positions[at], positions[min(len(positions) - 1, at + random.randint(1, 8))]
    to = random.choice(positions)
    return payload[:to] + payload[start:end] + payload[to:]


def _truncate(random: Random, payload: bytes, _: Pick) -> bytes:
    at = random.randrange(len(payload) + 1)
    return payload[:at] if random.randrange(4) else payload[at:]


def _splice(random: Random, payload: bytes, pick: Pick) -> bytes:
    other = pick(random)
    return payload[: random.randrange(len(payload) + 1)] + other[random.randrange(len(other) + 1) :]


def _graft(random: Random, payload: bytes, pick: Pick) -> bytes:
    other = pick(random)
    start, end = _slice(random, other, 400)
    at = random.randrange(len(payload) + 1)
    return payload[:at] + other[start:end] + payload[at:]


def _join(random: Random, payload: bytes, pick: Pick) -> bytes:
    return payload + random.choice((b"", b"\n", b",", b" ", b"\0")) + pick(random)


def _token(random: Random, payload: bytes, _: Pick) -> bytes:
    at = random.choice((0, len(payload), random.randrange(len(payload) + 1)))
    return payload[:at] + random.choice(TOKENS) + payload[at:]


def _replacing(pattern: re.Pattern[bytes], values: Sequence[bytes], margin: int = 0) -> Operator:
    """An operator that replaces a match, except for `margin` bytes at both ends, by one of the values."""

    def replace(random: Random, payload: bytes, _: Pick) -> bytes:
        found = pattern.search(payload, random.randrange(len(payload) + 1)) or pattern.search(payload)
        if found is None:
            return payload + random.choice(values)
        return payload[: found.start() + margin] + random.choice(values) + payload[found.end() - margin :]

    return replace


def _nest(random: Random, payload: bytes, _: Pick) -> bytes:
    depth = random.choice((3, 33, 70, 300, 1_100, 5_000) if random.randrange(20) else (100_000,))
    at = random.choice((0, random.randrange(len(payload) + 1)))
    return payload[:at] + random.choice(NESTS) * depth + payload[at:]


def _repeat(random: Random, payload: bytes, _: Pick) -> bytes:
    """Repeat a part many times, within the size limit of a mutation."""
    start, end = _slice(random, payload, random.choice((1, 8, 100)))
    times = random.choice((10, 100, 1_000) if random.randrange(20) else (HUGE_BYTES,))
    times = min(times, HUGE_BYTES // max(1, end - start))
    return payload[:start] + payload[start:end] * times + payload[end:]


def _swap(random: Random, payload: bytes, _: Pick) -> bytes:
    one, two, three = sorted(random.randrange(len(payload) + 1) for _each in range(3))
    return payload[:one] + payload[two:three] + payload[one:two] + payload[three:]


def _charset(random: Random, payload: bytes, _: Pick) -> bytes:
    return payload.decode("latin-1").encode(random.choice(CHARSETS), "replace")


def _case(random: Random, payload: bytes, _: Pick) -> bytes:
    start, end = _slice(random, payload)
    return payload[:start] + payload[start:end].swapcase() + payload[end:]


_OPERATORS: tuple[Operator, ...] = (
    _flip, _flip, _overwrite, _delete, _delete, _duplicate, _duplicate_part, _duplicate_part, _truncate, _splice,
    _splice, _graft, _join, _token, _token, _token, _replacing(_NUMBER, NUMBERS), _replacing(_NUMBER, NUMBERS),
    _replacing(_DATE, DATES), _replacing(_QUOTED, TOKENS, 1), _replacing(_QUOTED, NUMBERS, 1), _nest, _repeat, _swap,
    _charset, _case,
)  # fmt: skip
