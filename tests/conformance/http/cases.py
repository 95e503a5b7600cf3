"""The cases of the suite: raw bytes, the outcome that RFC 9112 and RFC 9110 ask for, and the section that says so.

An outcome is the statuses of the responses, then `kept` if the connection serves one more request, or `closed`.
"""

from __future__ import annotations

from typing import NamedTuple

HEADER_LIMIT_BYTES = 8_192
BODY_LIMIT_BYTES = 200_000
TIMEOUT_MS = 300


class Case(NamedTuple):
    """One case. `eof`: the client ends its side instead of sending one more request."""

    group: str
    name: str
    raw: bytes
    expected: str
    section: str
    seen: bytes | None = None
    """The path and body that the application must see, if it is called."""
    eof: bool = False
    waits: bool = False
    """The client sends nothing more, and waits for the server to lose patience."""


HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def line(first: bytes) -> bytes:
    return first + b"\r\n" + HOST + b"\r\n"


def field(each: bytes, body: bytes = b"") -> bytes:
    return POST + each + b"\r\n\r\n" + body


BAD = "400 closed"
OK = "200 kept"

CASES = [
    # -- request line
    Case("request line", "a path", GET + b"\r\n", OK, "9112 §3.2.1", b"/ "),
    Case("request line", "a path with a query", line(b"GET /a?b=c HTTP/1.1"), OK, "9112 §3.2.1", b"/a "),
    Case("request line", "an absolute target", line(b"GET http://x/a HTTP/1.1"), OK, "9112 §3.2.2", b"/a "),
    Case("request line", "an asterisk", line(b"OPTIONS * HTTP/1.1"), OK, "9112 §3.2.4", b"* "),
    Case("request line", "CONNECT", line(b"CONNECT x:80 HTTP/1.1"), "200 closed", "9110 §9.3.6"),
    Case("request line", "empty lines before it", b"\r\n\r\n" + GET + b"\r\n", OK, "9112 §2.2", b"/ "),
    Case("request line", "a space in the target", line(b"GET /a b HTTP/1.1"), BAD, "9112 §3.2"),
    Case("request line", "a control character in the target", line(b"GET /a\x01b HTTP/1.1"), BAD, "9112 §3.2"),
    Case("request line", "a tab instead of a space", line(b"GET\t/\tHTTP/1.1"), BAD, "9112 §3"),
    Case("request line", "a space after the version", line(b"GET / HTTP/1.1 "), BAD, "9112 §3"),
    Case("request line", "an unknown method", line(b"BREW / HTTP/1.1"), BAD, "9110 §9.1"),
    Case("request line", "a lower-case method", line(b"get / HTTP/1.1"), BAD, "9110 §9.1"),
    Case("request line", "a lower-case protocol name", line(b"GET / http/1.1"), BAD, "9112 §2.3"),
    Case("request line", "no version (HTTP/0.9)", b"GET /\r\n\r\n", "505 closed", "9112 §2.3"),
    Case("request line", "HTTP/1.2", line(b"GET / HTTP/1.2"), BAD, "9110 §2.5"),
    Case("request line", "HTTP/2.0", line(b"GET / HTTP/2.0"), "505 closed", "9110 §15.6.6"),
    Case("request line", "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD, "9113 §3.4"),
    Case("request line", "TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD, "9112 §2.2"),
    # -- Host
    Case("Host", "missing", b"GET / HTTP/1.1\r\n\r\n", BAD, "9112 §3.2"),
    Case("Host", "missing in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", "200 closed", "9112 §3.2", b"/ "),
    Case("Host", "twice", GET + b"Host: y\r\n\r\n", BAD, "9112 §3.2"),
    Case("Host", "twice the same", GET + HOST + b"\r\n", BAD, "9112 §3.2"),
    Case("Host", "empty", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", OK, "9112 §3.2", b"/ "),
    Case("Host", "with a port", b"GET / HTTP/1.1\r\nHost: x.test:80\r\n\r\n", OK, "9112 §3.2", b"/ "),
    Case("Host", "an IPv6 address", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", OK, "9112 §3.2", b"/ "),
    Case("Host", "with a path", b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", BAD, "9112 §3.2"),
    Case("Host", "with a user", b"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", BAD, "9112 §3.2"),
    # -- fields
    Case("fields", "an empty value", GET + b"A:\r\n\r\n", OK, "9110 §5.5", b"/ "),
    Case("fields", "bytes above 127", GET + b"A: \xe9\r\n\r\n", OK, "9110 §5.5", b"/ "),
    Case("fields", "whitespace before the colon", GET + b"A : b\r\n\r\n", BAD, "9112 §5.1"),
    Case("fields", "whitespace before the first field", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", BAD, "9112 §2.2"),
    Case("fields", "a folded value", GET + b"A: b\r\n c\r\n\r\n", BAD, "9112 §5.2"),
    Case("fields", "no colon", GET + b"A\r\n\r\n", BAD, "9112 §5"),
    Case("fields", "an empty name", GET + b": b\r\n\r\n", BAD, "9110 §5.1"),
    Case("fields", "a parenthesis in a name", GET + b"A(: b\r\n\r\n", BAD, "9110 §5.1"),
    Case("fields", "NUL in a value", GET + b"A: b\x00c\r\n\r\n", BAD, "9110 §5.5"),
    Case("fields", "a bare CR in a value", GET + b"A: b\rc: d\r\n\r\n", BAD, "9112 §2.2"),
    Case("fields", "bare LF as line ends", b"GET / HTTP/1.1\nHost: x\n\n", BAD, "9112 §2.2"),
    Case("fields", "a bare LF after a value", GET + b"A: b\n\r\n", BAD, "9112 §2.2"),
    Case("fields", "a bare LF as the end of the head", GET + b"\n", BAD, "9112 §2.2"),
    # -- Content-Length
    Case("Content-Length", "a body", field(b"Content-Length: 5", b"hello"), OK, "9112 §6.2", b"/ hello"),
    Case("Content-Length", "0", field(b"Content-Length: 0"), OK, "9112 §6.2", b"/ "),
    Case("Content-Length", "none, so no body", POST + b"\r\n", OK, "9112 §6.3", b"/ "),
    Case("Content-Length", "a body of GET", GET + b"Content-Length: 5\r\n\r\nhello", OK, "9110 §9.3.1", b"/ hello"),
    Case("Content-Length", "twice, different", field(b"Content-Length: 5\r\nContent-Length: 6", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "twice, the same", field(b"Content-Length: 5\r\nContent-Length: 5", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "a list", field(b"Content-Length: 5, 5", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "a plus sign", field(b"Content-Length: +5", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "negative", field(b"Content-Length: -5", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "hexadecimal", field(b"Content-Length: 0x5", b"hello"), BAD, "9112 §6.3"),
    Case("Content-Length", "empty", field(b"Content-Length:"), BAD, "9112 §6.3"),
    Case("Content-Length", "over 64 bits", field(b"Content-Length: 99999999999999999999", b"hello"), BAD, "9110 §8.6"),
    # -- Transfer-Encoding
    Case("Transfer-Encoding", "chunked", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", OK, "9112 §7.1", b"/ hello"),
    Case("Transfer-Encoding", "upper case", field(b"TRANSFER-ENCODING: CHUNKED", b"0\r\n\r\n"), OK, "9112 §7", b"/ "),
    Case("Transfer-Encoding", "after Content-Length", field(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), BAD, "9112 §6.1"),
    Case("Transfer-Encoding", "before Content-Length", field(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n"), BAD, "9112 §6.1"),
    Case("Transfer-Encoding", "chunked twice", field(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"), BAD, "9112 §6.1"),
    Case("Transfer-Encoding", "chunked in two fields", field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), BAD, "9112 §6.1"),
    Case("Transfer-Encoding", "gzip, chunked", field(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), "501 closed", "9112 §6.1"),
    Case("Transfer-Encoding", "identity, then chunked", field(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), "501 closed", "9112 §6.1"),
    Case("Transfer-Encoding", "gzip alone", field(b"Transfer-Encoding: gzip", b"0\r\n\r\n"), BAD, "9112 §6.3"),
    Case("Transfer-Encoding", "chunked is not the last", field(b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"), BAD, "9112 §6.3"),
    Case("Transfer-Encoding", "xchunked", field(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"), BAD, "9112 §6.3"),
    Case("Transfer-Encoding", "in quotes", field(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"), BAD, "9112 §6.3"),
    Case("Transfer-Encoding", "a vertical tab before it", field(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"), BAD, "9110 §5.5"),
    Case("Transfer-Encoding", "a space before the colon", field(b"Transfer-Encoding : chunked", b"0\r\n\r\n"), BAD, "9112 §5.1"),
    Case("Transfer-Encoding", "empty", field(b"Transfer-Encoding:", b"0\r\n\r\n"), BAD, "9112 §6.3"),
    Case("Transfer-Encoding", "in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD, "9112 §6.1"),
    # -- chunks
    Case("chunks", "an extension", CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n', OK, "9112 §7.1.1", b"/ hello"),
    Case("chunks", "leading zeros", CHUNKED + b"005\r\nhello\r\n0\r\n\r\n", OK, "9112 §7.1", b"/ hello"),
    Case("chunks", "hexadecimal size", CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", OK, "9112 §7.1", b"/ 0123456789"),
    Case("chunks", "a bare LF in an extension", CHUNKED + b"5;a\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1.1"),
    Case("chunks", "bare LF as line ends", CHUNKED + b"5\nhello\n0\n\n", BAD, "9112 §7.1"),
    Case("chunks", "a bare LF after the data", CHUNKED + b"5\r\nhello\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "more data than the size", CHUNKED + b"5\r\nhelloXX0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "0x before the size", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "a sign before the size", CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "a space after the size", CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "no size", CHUNKED + b"\r\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "a size over 64 bits", CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", BAD, "9112 §7.1"),
    Case("chunks", "trailers", CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n", OK, "9112 §7.1.2", b"/ hello"),
    Case("chunks", "Content-Length as a trailer", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", BAD, "9110 §6.5.1"),
    # -- connections
    Case("connections", "kept by default", GET + b"\r\n", OK, "9112 §9.3", b"/ "),
    Case("connections", "closed when asked", GET + b"Connection: close\r\n\r\n", "200 closed", "9112 §9.6", b"/ "),
    Case("connections", "close in a list", GET + b"Connection: a, close\r\n\r\n", "200 closed", "9112 §9.6", b"/ "),
    Case("connections", "HTTP/1.0 closes", b"GET / HTTP/1.0\r\n\r\n", "200 closed", "9112 §9.3", b"/ "),
    Case("connections", "HTTP/1.0 keeps when asked", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK, "9112 §9.3", b"/ "),
    Case("connections", "three requests in one packet", (GET + b"\r\n") * 3, "200 200 200 kept", "9112 §9.3.2", b"/ "),
    Case("connections", "requests after a refused one", GET + b"\r\n" + line(b"GET / HTTP/2.0") + GET + b"\r\n", "200 505 closed", "9112 §9.3.2"),
    Case("connections", "HEAD has no body", b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", OK, "9110 §9.3.2"),
    # -- Expect and Upgrade
    Case("Expect, Upgrade", "100-continue", field(b"Expect: 100-continue\r\nContent-Length: 5", b"hello"), "100 200 kept", "9110 §10.1.1", b"/ hello"),
    Case("Expect, Upgrade", "100-continue in HTTP/1.0", b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "200 closed", "9110 §10.1.1", b"/ hello"),
    Case("Expect, Upgrade", "h2c, ignored", GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n", OK, "9110 §7.8", b"/ "),
    Case("Expect, Upgrade", "h2c with a body", field(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5", b"hello"), OK, "9110 §7.8", b"/ hello"),
    Case("Expect, Upgrade", "h2c with chunks", field(b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), OK, "9110 §7.8", b"/ hello"),
    Case("Expect, Upgrade", "Upgrade without Connection", GET + b"Upgrade: websocket\r\n\r\n", OK, "9110 §7.8", b"/ "),
    # -- limits
    Case("limits", "a head over the limit", GET + b"A: " + b"b" * 20_000 + b"\r\n\r\n", "431 closed", "6585 §5"),
    Case("limits", "a head that never ends", GET + b"A: " + b"b" * 20_000, "431 closed", "6585 §5", waits=True),
    Case("limits", "trailers over the limit", CHUNKED + b"0\r\nA: " + b"b" * 600_000, "431 closed", "6585 §5", waits=True),
    Case("limits", "a field that repeats 500 times", GET + b"A: b\r\n" * 500 + b"\r\n", "431 closed", "6585 §5"),
    Case("limits", "a body over the limit", field(b"Content-Length: 200001"), "413 closed", "9110 §15.5.14", waits=True),
    Case("limits", "chunks over the limit", CHUNKED + b"30d41\r\n" + b"b" * 200_001, "413 closed", "9110 §15.5.14", waits=True),
    Case("limits", "a silent connection", b"", "closed", "9112 §9.5", waits=True),
    Case("limits", "a silent connection after a request", GET + b"\r\n", "200 closed", "9112 §9.5", waits=True),
    Case("limits", "a head that stops", GET + b"A: ", "408 closed", "9110 §15.5.9", waits=True),
    Case("limits", "a body that stops", field(b"Content-Length: 5", b"hel"), "408 closed", "9110 §15.5.9", waits=True),
    Case("limits", "a client that leaves within its body", field(b"Content-Length: 5", b"hel"), "closed", "9112 §8", eof=True),
]  # fmt: skip
