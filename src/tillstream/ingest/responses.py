"""The HTTP answers of ingest: status, headers and body of each, ready to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tillstream.http.messages import JSON, RETRY, Response, error
from tillstream.receipt.model import Fault

_encode = msgspec.json.encode


class Refused(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        super().__init__(answer[0])


def accepted(key: str, day: str) -> Response:
    """One receipt is durable."""
    return Response(202, JSON, f'{{"accepted":1,"rejected":[],"receiptKey":"{key}","day":"{day}"}}'.encode())


def batch(
    count: int,
    rejected: Sequence[tuple[int, Sequence[Fault]]],
    skipped: Mapping[str, int],
    *,
    parseable: bool,
    foreign: bool = False,
) -> Response:
    """What became of many; each rejected one by its index. Where none was accepted, `errors` lists all.

    `skipped` counts, by their kinds, records that are rightly no sales; without any it is left out. `foreign`: some
    were of stores that the key is not for.
    """
    entries = [{"index": index, "errors": [fault.as_dict() for fault in faults]} for index, faults in rejected]
    answer: dict[str, Any] = {"accepted": count, "rejected": entries}
    if skipped:
        answer["skipped"] = dict(skipped)
    if count or not rejected:
        return Response(202, JSON, _encode(answer))
    answer["errors"] = [
        {**fault.as_dict(), "path": f"$[{index}]{fault.path[1:]}"} for index, faults in rejected for fault in faults
    ]
    return Response(403 if foreign else 422 if parseable else 400, JSON, _encode(answer))


def refused(faults: Sequence[Fault], *, parseable: bool) -> Response:
    """Not a receipt (422), or nothing that could be parsed (400)."""
    return Response(422 if parseable else 400, JSON, _errors(faults))


def no_key(*, given: bool, browser: bool = False) -> Response:
    """A key is needed: none came (RFC 6750, 3: no error is named then), or one that is not known.

    A `browser` asks the person for it.
    """
    challenge = 'Bearer realm="tillstream", error="invalid_token"' if given else 'Bearer realm="tillstream"'
    if browser:
        challenge = 'Basic realm="tillstream: any name, and an API key as the password", charset="UTF-8"'
    problem = "the key is not known, or was revoked" if given else "this needs an API key"
    hint = "send `Authorization: Bearer KEY`, or `X-API-Key: KEY`; `tillstream keys add` makes one"
    return error(401, problem, hint, f"www-authenticate: {challenge}\r\n".encode())


def foreign_store(store: str) -> Fault:
    """The key is for other stores than the receipt's; what came is kept nowhere."""
    hint = f"send it with the key of that store; `tillstream keys add --store {store}` makes one"
    return Fault("$.storeID", f"this key may not post for store {store}", hint)


def foreign(store: str) -> Response:
    return Response(403, JSON, _errors([foreign_store(store)]))


def no_posting() -> Response:
    hint = "use one that `tillstream keys add --store` made"
    return error(403, "this key is for reading, not for receipts", hint)


def no_reading() -> Response:
    hint = "use one that `tillstream keys add --read` made"
    return error(403, "this key is for receipts, not for reading", hint)


def not_found(path: str) -> Response:
    return error(404, f"there is nothing at {path}", "POST receipts to /receipt or /receipts; see /docs")


def method_not_allowed(allowed: Sequence[str]) -> Response:
    listed = ", ".join(allowed)
    return error(405, "the method is not allowed here", f"use {listed}", f"allow: {listed}\r\n".encode())


def foreign_page() -> Response:
    """Any page can have a browser send a form, or what names no type."""
    hint = "type it at /receipt of this host, or send it from a program, without an Origin header"
    return error(403, "a page of another address sent this", hint)


def body_too_large(limit_bytes: int) -> Response:
    return error(413, f"the body has more than {limit_bytes} bytes", "send fewer receipts at a time", close=True)


def receipt_too_large(limit_bytes: int) -> Response:
    """The whole request has come: the connection may stay."""
    return error(413, f"the receipt has more than {limit_bytes} bytes", "send several to /receipts")


def too_many(limit: int) -> Response:
    return error(413, f"the request has more than {limit} receipts", "send fewer receipts at a time")


def unsupported_type(known: Sequence[str]) -> Response:
    listed = ", ".join(known)
    accepted = f"accept-post: {listed}\r\n".encode()
    return error(415, "unknown media type or charset", f"use {listed}; in UTF-8", accepted)


def unsupported_encoding() -> Response:
    hint = "use gzip or zstd, or send the body as it is"
    return error(415, "unknown content encoding", hint, b"accept-encoding: gzip, zstd, identity\r\n")


def too_fast(store: str, limit_per_s: int, wait_s: int) -> Response:
    """A store sends more than it may; nothing was acknowledged."""
    problem = f"store {store} sends more than {limit_per_s} receipts a second"
    hint = "nothing was taken; send it again after Retry-After seconds, it will count once"
    return error(429, problem, hint, f"retry-after: {wait_s}\r\n".encode())


def unavailable(reason: str) -> Response:
    """Nothing was acknowledged, and the same request may come again."""
    return error(503, reason, "nothing was taken; send it again, it will count once", RETRY)


def failed() -> Response:
    """A fault of the program itself; its log says more."""
    return error(500, "something went wrong here", "it is logged; send it again, it will count once")


def ready(problem: str) -> Response:
    if problem:
        return Response(503, JSON + RETRY, _encode({"status": "unavailable", "reason": problem}))
    return Response(200, JSON, b'{"status":"ready"}')


def live() -> Response:
    return Response(200, JSON, b'{"status":"live"}')


def found(content_type: str, body: bytes, headers: bytes = b"") -> Response:
    return Response(200, f"content-type: {content_type}\r\n".encode() + headers, body)


def _errors(faults: Sequence[Fault]) -> bytes:
    return _encode({"errors": [fault.as_dict() for fault in faults]})
