"""The HTTP answers of ingest: status, headers and body of each, ready to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tillstream.receipt import Fault

Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, body."""

JSON = [("content-type", "application/json")]
_CLOSE = [*JSON, ("connection", "close")]
_RETRY = [*JSON, ("retry-after", "1")]

_encode = msgspec.json.encode


class Refused(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer[0])


def accepted(key: str, day: str) -> Answer:
    """One receipt is durable."""
    return 202, JSON, f'{{"accepted":1,"rejected":[],"receiptKey":"{key}","day":"{day}"}}'.encode()


def batch(count: int, rejected: Sequence[tuple[int, Sequence[Fault]]], *, parseable: bool) -> Answer:
    """What became of many; each rejected one by its index. Where none was accepted, `errors` lists all."""
    entries = [{"index": index, "errors": [fault.as_dict() for fault in faults]} for index, faults in rejected]
    answer: dict[str, Any] = {"accepted": count, "rejected": entries}
    if count:
        return 202, JSON, _encode(answer)
    answer["errors"] = [
        {**fault.as_dict(), "path": f"$[{index}]{fault.path[1:]}"} for index, faults in rejected for fault in faults
    ]
    return 422 if parseable else 400, JSON, _encode(answer)


def refused(faults: Sequence[Fault], *, parseable: bool) -> Answer:
    """Not a receipt (422), or nothing that could be parsed (400)."""
    return 422 if parseable else 400, JSON, _errors(faults)


def not_found(path: str) -> Answer:
    return 404, JSON, _error(f"there is nothing at {path}", "POST receipts to /receipt or /receipts; see /docs")


def method_not_allowed(allowed: Sequence[str]) -> Answer:
    listed = ", ".join(allowed)
    return 405, [*JSON, ("allow", listed)], _error("the method is not allowed here", f"use {listed}")


def body_too_late(limit_ms: int) -> Answer:
    return 408, _CLOSE, _error(f"the body took longer than {limit_ms} ms", "send it again")


def body_too_large(limit_bytes: int) -> Answer:
    return 413, _CLOSE, _error(f"the body has more than {limit_bytes} bytes", "send fewer receipts at a time")


def too_many(limit: int) -> Answer:
    return 413, JSON, _error(f"the request has more than {limit} receipts", "send fewer receipts at a time")


def unsupported_type(known: Sequence[str]) -> Answer:
    return 415, [*JSON, ("accept-post", ", ".join(known))], _error("unknown media type", f"use {', '.join(known)}")


def unsupported_encoding() -> Answer:
    headers = [*JSON, ("accept-encoding", "gzip, zstd, identity")]
    return 415, headers, _error("unknown content encoding", "use gzip or zstd, or send the body as it is")


def unavailable(reason: str) -> Answer:
    """Nothing was acknowledged, and the same request may come again."""
    return 503, _RETRY, _error(reason, "nothing was taken; send it again, it will count once")


def failed() -> Answer:
    """A fault of the program itself; its log says more."""
    return 500, JSON, _error("something went wrong here", "it is logged; send it again, it will count once")


def ready(problem: str) -> Answer:
    if problem:
        return 503, _RETRY, _encode({"status": "unavailable", "reason": problem})
    return 200, JSON, b'{"status":"ready"}'


def live() -> Answer:
    return 200, JSON, b'{"status":"live"}'


def found(content_type: str, body: bytes) -> Answer:
    return 200, [("content-type", content_type)], body


def _error(error: str, hint: str) -> bytes:
    return _errors([Fault("$", error, hint)])


def _errors(faults: Sequence[Fault]) -> bytes:
    return _encode({"errors": [fault.as_dict() for fault in faults]})
