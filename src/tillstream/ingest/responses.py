"""The HTTP responses of ingest. The docstring of a function says when a client gets the response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, structs

from tillstream.errors import LogFull, LogUnavailable
from tillstream.http.messages import JSON, RETRY, Response, error
from tillstream.http.openapi import Errors
from tillstream.ingest.openapi import Live, Outcome, Ready, Rejected
from tillstream.receipt.model import Fault

_encode = msgspec.json.encode


class Refused(Exception):
    """The request is not accepted. The client gets `response`."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status)


def accepted(key: str, day: str) -> Response:
    """The receipt of the request is durable."""
    return Response(202, JSON, f'{{"accepted":1,"rejected":[],"receiptKey":"{key}","day":"{day}"}}'.encode())


def batch(
    count: int,
    rejected: Sequence[tuple[int, Sequence[Fault]]],
    skipped: Mapping[str, int],
    *,
    parseable: bool,
    forbidden: bool = False,
) -> Response:
    """A batch was processed, and `count` receipts are durable.

    `rejected` holds the index and the faults of every rejected receipt. `skipped` holds the number of records that are
    not sales, by kind. If a receipt was accepted or none was rejected, the status is 202. Otherwise, it is 403 if
    `forbidden` is true, 422 if only `parseable` is true, and 400 if both are false.
    """
    entries = [Rejected(index, list(faults)) for index, faults in rejected]
    outcome = Outcome(count, entries, skipped=dict(skipped) or UNSET)
    if count or not rejected:
        return Response(202, JSON, _encode(outcome))
    errors = [
        Fault(f"$[{index}]{fault.path[1:]}", fault.error, fault.hint) for index, faults in rejected for fault in faults
    ]
    status = 403 if forbidden else 422 if parseable else 400
    return Response(status, JSON, _encode(structs.replace(outcome, errors=errors)))


def refused(faults: Sequence[Fault], *, parseable: bool) -> Response:
    """The body can be parsed, but is not a valid receipt (422), or the body cannot be parsed (400)."""
    return Response(422 if parseable else 400, JSON, _errors(faults))


def unauthorized(*, provided: bool, browser: bool = False) -> Response:
    """The request has no key, or an unknown key. If `browser` is true, the browser asks its user for a key.

    If the request has no key, the header `WWW-Authenticate` contains no error code (RFC 6750, section 3).
    """
    challenge = 'Bearer realm="tillstream", error="invalid_token"' if provided else 'Bearer realm="tillstream"'
    if browser:
        challenge = 'Basic realm="tillstream: any name, and an API key as the password", charset="UTF-8"'
    problem = "the API key is unknown or revoked" if provided else "the request needs an API key"
    hint = "send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `tillstream keys add` creates a key"
    return error(401, problem, hint, f"www-authenticate: {challenge}\r\n".encode())


def forbidden_store(store: str) -> Fault:
    """Return the fault that says that the key is not valid for the receipt's store. Such a receipt is not stored."""
    hint = f"send it with a key for this store; `tillstream keys add --store {store}` creates a key"
    return Fault("$.storeID", f"this key may not post for store {store}", hint)


def forbidden(store: str) -> Response:
    return Response(403, JSON, _errors([forbidden_store(store)]))


def key_cannot_post() -> Response:
    hint = "use a key that was created with `tillstream keys add --store`"
    return error(403, "this key is for reading, not for receipts", hint)


def key_cannot_read() -> Response:
    hint = "use a key that was created with `tillstream keys add --read`"
    return error(403, "this key is for receipts, not for reading", hint)


def not_found(path: str) -> Response:
    return error(404, f"there is nothing at {path}", "POST receipts to /receipt or /receipts; see /docs")


def method_not_allowed(allowed: Sequence[str]) -> Response:
    listed = ", ".join(allowed)
    return error(405, "the method is not allowed here", f"use {listed}", f"allow: {listed}\r\n".encode())


def cross_site() -> Response:
    """A page of another site sent the request.

    This concerns only what any page can make a browser send: forms, and bodies without a media type.
    """
    hint = "type it at /receipt of this host, or send it from a program, without an Origin header"
    return error(403, "a page of another address sent this", hint)


def body_too_large(limit_bytes: int) -> Response:
    return error(413, f"the body has more than {limit_bytes} bytes", "send fewer receipts at a time", close=True)


def receipt_too_large(limit_bytes: int) -> Response:
    """The receipt is too large. The connection remains open, because the whole request was read."""
    return error(413, f"the receipt has more than {limit_bytes} bytes", "send several to /receipts")


def too_many_receipts(limit: int) -> Response:
    return error(413, f"the request has more than {limit} receipts", "send fewer receipts at a time")


def unsupported_type(known: Sequence[str]) -> Response:
    listed = ", ".join(known)
    accepted = f"accept-post: {listed}\r\n".encode()
    return error(415, "unknown media type or charset", f"use {listed}; in UTF-8", accepted)


def unsupported_encoding() -> Response:
    hint = "use gzip or zstd, or send the body as it is"
    return error(415, "unknown content encoding", hint, b"accept-encoding: gzip, zstd, identity\r\n")


def rate_limited(store: str, limit_per_s: int, wait_s: int) -> Response:
    """The store exceeds its rate limit. Nothing was stored."""
    problem = f"store {store} sends more than {limit_per_s} receipts a second"
    hint = "nothing was stored; send the request again after Retry-After seconds, each receipt counts once"
    return error(429, problem, hint, f"retry-after: {wait_s}\r\n".encode())


def unavailable(reason: str) -> Response:
    """Nothing was stored. The client should send the same request again."""
    return error(503, reason, "nothing was stored; send the request again, each receipt counts once", RETRY)


def over_budget() -> Response:
    """The receipts that are not durable yet need more memory than the setting `pending_limit_bytes`."""
    return unavailable("too many receipts wait for the disk")


def log_unavailable(error: LogUnavailable) -> Response:
    """The log accepts no records, for example because RabbitMQ is unavailable or the disk is nearly full."""
    return unavailable(log_problem(error))


def log_problem(error: LogUnavailable) -> str:
    """Return the reason that clients get if the log accepts no records."""
    return "the log is full" if isinstance(error, LogFull) else "the log accepts no records now"


def internal_error() -> Response:
    """The request failed because of a bug. The log event `ingest.request_failed` contains the details."""
    return error(500, "an internal error occurred", "send the request again, each receipt counts once")


def ready(problem: str) -> Response:
    if problem:
        return Response(503, JSON + RETRY, _encode(Ready("unavailable", problem)))
    return Response(200, JSON, _encode(Ready("ready")))


def live() -> Response:
    return Response(200, JSON, _encode(Live("live")))


def document(content_type: str, body: bytes, headers: bytes = b"") -> Response:
    return Response(200, f"content-type: {content_type}\r\n".encode() + headers, body)


def _errors(faults: Sequence[Fault]) -> bytes:
    return _encode(Errors(list(faults)))
