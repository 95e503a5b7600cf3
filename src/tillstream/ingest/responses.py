"""The HTTP answers of ingest: status, headers and body of each, ready to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tillstream.receipt.model import Fault


class Answer(NamedTuple):
    """`headers` are whole lines as they are sent; the server adds length and date. After `closes` it closes."""

    status: int
    headers: bytes
    body: bytes
    closes: bool = False


JSON = b"content-type: application/json\r\n"
_RETRY = JSON + b"retry-after: 1\r\n"

_encode = msgspec.json.encode


class Refused(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer[0])


def accepted(key: str, day: str) -> Answer:
    """One receipt is durable."""
    return Answer(202, JSON, f'{{"accepted":1,"rejected":[],"receiptKey":"{key}","day":"{day}"}}'.encode())


def batch(
    count: int,
    rejected: Sequence[tuple[int, Sequence[Fault]]],
    skipped: Mapping[str, int],
    *,
    parseable: bool,
    foreign: bool = False,
) -> Answer:
    """What became of many; each rejected one by its index. Where none was accepted, `errors` lists all.

    `skipped` counts, by their kinds, records that are rightly no sales; without any it is left out. `foreign`: some
    were of stores that the key is not for.
    """
    entries = [{"index": index, "errors": [fault.as_dict() for fault in faults]} for index, faults in rejected]
    answer: dict[str, Any] = {"accepted": count, "rejected": entries}
    if skipped:
        answer["skipped"] = dict(skipped)
    if count or not rejected:
        return Answer(202, JSON, _encode(answer))
    answer["errors"] = [
        {**fault.as_dict(), "path": f"$[{index}]{fault.path[1:]}"} for index, faults in rejected for fault in faults
    ]
    return Answer(403 if foreign else 422 if parseable else 400, JSON, _encode(answer))


def refused(faults: Sequence[Fault], *, parseable: bool) -> Answer:
    """Not a receipt (422), or nothing that could be parsed (400)."""
    return Answer(422 if parseable else 400, JSON, _errors(faults))


def no_key(*, given: bool, browser: bool = False) -> Answer:
    """A key is needed: none came (RFC 6750, 3: no error is named then), or one that is not known.

    A `browser` asks the person for it.
    """
    challenge = 'Bearer realm="tillstream", error="invalid_token"' if given else 'Bearer realm="tillstream"'
    if browser:
        challenge = 'Basic realm="tillstream: any name, and an API key as the password", charset="UTF-8"'
    error = "the key is not known, or was revoked" if given else "this needs an API key"
    hint = "send `Authorization: Bearer KEY`, or `X-API-Key: KEY`; `tillstream keys add` makes one"
    return Answer(401, JSON + f"www-authenticate: {challenge}\r\n".encode(), _error(error, hint))


def foreign_store(store: str) -> Fault:
    """The key is for other stores than the receipt's; what came is kept nowhere."""
    hint = f"send it with the key of that store; `tillstream keys add --store {store}` makes one"
    return Fault("$.storeID", f"this key may not post for store {store}", hint)


def foreign(store: str) -> Answer:
    return Answer(403, JSON, _errors([foreign_store(store)]))


def no_posting() -> Answer:
    hint = "use one that `tillstream keys add --store` made"
    return Answer(403, JSON, _error("this key is for reading, not for receipts", hint))


def no_reading() -> Answer:
    hint = "use one that `tillstream keys add --read` made"
    return Answer(403, JSON, _error("this key is for receipts, not for reading", hint))


def malformed(reason: str) -> Answer:
    """What came is no HTTP."""
    return Answer(400, JSON, _error(f"not a request of HTTP/1.1: {reason}", "see /docs"), closes=True)


def not_found(path: str) -> Answer:
    return Answer(404, JSON, _error(f"there is nothing at {path}", "POST receipts to /receipt or /receipts; see /docs"))


def method_not_allowed(allowed: Sequence[str]) -> Answer:
    listed = ", ".join(allowed)
    body = _error("the method is not allowed here", f"use {listed}")
    return Answer(405, JSON + f"allow: {listed}\r\n".encode(), body)


def foreign_page() -> Answer:
    """Any page can have a browser send a form, or what names no type."""
    body = _error(
        "a page of another address sent this",
        "type it at /receipt of this host, or send it from a program, without an Origin header",
    )
    return Answer(403, JSON, body)


def head_too_late(limit_ms: int) -> Answer:
    return Answer(408, JSON, _error(f"the headers took longer than {limit_ms} ms", "send it again"), closes=True)


def body_too_late(limit_ms: int) -> Answer:
    return Answer(408, JSON, _error(f"the body took longer than {limit_ms} ms", "send it again"), closes=True)


def head_too_large(limit_bytes: int) -> Answer:
    return Answer(431, JSON, _error(f"the headers have more than {limit_bytes} bytes", "send fewer"), closes=True)


def body_too_large(limit_bytes: int) -> Answer:
    body = _error(f"the body has more than {limit_bytes} bytes", "send fewer receipts at a time")
    return Answer(413, JSON, body, closes=True)


def receipt_too_large(limit_bytes: int) -> Answer:
    """The whole request has come: the connection may stay."""
    return Answer(413, JSON, _error(f"the receipt has more than {limit_bytes} bytes", "send several to /receipts"))


def too_many(limit: int) -> Answer:
    body = _error(f"the request has more than {limit} receipts", "send fewer receipts at a time")
    return Answer(413, JSON, body)


def unsupported_type(known: Sequence[str]) -> Answer:
    listed = ", ".join(known)
    return Answer(
        415,
        JSON + f"accept-post: {listed}\r\n".encode(),
        _error("unknown media type or charset", f"use {listed}; in UTF-8"),
    )


def unsupported_encoding() -> Answer:
    body = _error("unknown content encoding", "use gzip or zstd, or send the body as it is")
    return Answer(415, JSON + b"accept-encoding: gzip, zstd, identity\r\n", body)


def too_fast(store: str, limit_per_s: int, wait_s: int) -> Answer:
    """A store sends more than it may; nothing was acknowledged."""
    body = _error(
        f"store {store} sends more than {limit_per_s} receipts a second",
        "nothing was taken; send it again after Retry-After seconds, it will count once",
    )
    return Answer(429, JSON + f"retry-after: {wait_s}\r\n".encode(), body)


def too_many_connections() -> Answer:
    return Answer(503, _RETRY, _error("too many connections are open", "keep fewer, and keep them alive"), closes=True)


def unavailable(reason: str) -> Answer:
    """Nothing was acknowledged, and the same request may come again."""
    return Answer(503, _RETRY, _error(reason, "nothing was taken; send it again, it will count once"))


def failed() -> Answer:
    """A fault of the program itself; its log says more."""
    return Answer(500, JSON, _error("something went wrong here", "it is logged; send it again, it will count once"))


def ready(problem: str) -> Answer:
    if problem:
        return Answer(503, _RETRY, _encode({"status": "unavailable", "reason": problem}))
    return Answer(200, JSON, b'{"status":"ready"}')


def live() -> Answer:
    return Answer(200, JSON, b'{"status":"live"}')


def found(content_type: str, body: bytes, headers: bytes = b"") -> Answer:
    return Answer(200, f"content-type: {content_type}\r\n".encode() + headers, body)


def _error(error: str, hint: str) -> bytes:
    return _errors([Fault("$", error, hint)])


def _errors(faults: Sequence[Fault]) -> bytes:
    return _encode({"errors": [fault.as_dict() for fault in faults]})
