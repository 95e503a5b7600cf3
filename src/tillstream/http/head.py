"""Checks of a request's head that RFC 9112 asks of a server and that llhttp leaves to its caller."""

from __future__ import annotations

import re

from tillstream.http import messages
from tillstream.http.messages import Headers, Response

# RFC 3986, section 3.2, without the comma: two Host fields are joined with one.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")

VERSIONS = ("1.1", "1.0")


def find_problem(version: str, headers: Headers) -> Response | None:
    """The rejection of a head that must not be served, or None."""
    if version not in VERSIONS:
        return messages.unsupported_version(version)
    host = headers.get(b"host")
    if host is None and version == "1.1":
        return messages.malformed("the Host field is missing")
    if host is not None and not _HOST.fullmatch(host):
        return messages.malformed("the Host field is repeated or is not a host")
    encoding = headers.get(b"transfer-encoding")
    if encoding is not None and version == "1.0":
        return messages.malformed("HTTP/1.0 has no Transfer-Encoding")
    if encoding is not None and encoding.lower().rpartition(b",")[2].strip() != b"chunked":
        return messages.malformed("the last transfer encoding is not chunked")
    if encoding is not None and b"," in encoding:
        return messages.unsupported_transfer_encoding(encoding.decode("latin-1"))
    return None


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head again, without its Upgrade field: a server may ignore it (RFC 9110, section 7.8)."""
    kept = b"".join(b"%b: %b\r\n" % field for field in headers.items() if field[0] != b"upgrade")
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), kept)


def size_bytes(target: bytes, headers: Headers) -> int:
    """The size of a parsed head, near enough to compare it with its limit."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers.items())
