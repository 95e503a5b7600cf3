"""Sends one case to a server and says how it ended."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import NamedTuple

from tests.conformance.http.cases import Case

PROBE = b"GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PROBE_SEEN = b"/probe "


class Outcome(NamedTuple):
    """The statuses and the end of a connection, and the bodies of its responses."""

    text: str
    bodies: list[bytes]


def run(case: Case, port: int, patience_s: float) -> Outcome:
    """Send the case, then one more request unless the client waits or leaves, and read until the connection closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as connection:
        came, end = b"", "closed"
        try:
            connection.sendall(case.raw if case.waits or case.eof else case.raw + PROBE)
            if case.eof:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            end = "reset"
        try:
            while data := connection.recv(65_536):
                came += data
        except TimeoutError:
            end = "waits"
        except ConnectionResetError:
            end = "reset"
    responses = _responses(came, head=case.raw.startswith(b"HEAD "))
    if responses and responses[-1][1] == PROBE_SEEN:
        responses.pop()
        end = "kept"
    return Outcome(" ".join([*(status for status, _ in responses), end]), [body for _, body in responses])


def _responses(came: bytes, *, head: bool) -> list[tuple[str, bytes]]:
    """The status and the body of each response; the first answers a HEAD request if `head` is set."""
    found: list[tuple[str, bytes]] = []
    while came.startswith(b"HTTP/1."):
        first, _, came = came.partition(b"\r\n\r\n")
        lines = first.lower().split(b"\r\n")
        fields = dict(line.split(b":", 1) for line in lines[1:])
        status, body = lines[0].split()[1].decode(), b""
        if status.startswith("1") or (head and not found):
            pass
        elif b"content-length" in fields:
            size = int(fields[b"content-length"])
            body, came = came[:size], came[size:]
        elif fields.get(b"transfer-encoding", b"").strip() == b"chunked":
            body, came = _chunks(came)
        else:
            body, came = came, b""
        found.append((status, body))
    return found


def _chunks(came: bytes) -> tuple[bytes, bytes]:
    body = b""
    with suppress(ValueError):
        while True:
            size, _, came = came.partition(b"\r\n")
            part, came = came[: int(size, 16)], came[int(size, 16) + 2 :]
            if not part:
                break
            body += part
    return body, came
