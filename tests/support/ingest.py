"""Raw HTTP requests to an ingest server, and small receipts to post."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import httpx

WAIT_S = 20.0

JSON = "application/json"
NDJSON = "application/x-ndjson"

RECEIVED_US = 1_795_435_200_000_000
"""The time of the manual clock in tests of ingest."""


def receipt(number: object = 1, **fields: Any) -> dict[str, Any]:
    """A small valid receipt."""
    return {
        "cashReceiptID": number,
        "storeID": "S-1",
        "terminalID": "1",
        "date": "2026-11-23 10:15:00",
        "documentTotal": {"grossTotal": 1.2},
        **fields,
    }


def encoded(number: object = 1, **fields: Any) -> bytes:
    return json.dumps(receipt(number, **fields)).encode()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection to a local server for arbitrary bytes, optionally with TLS."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return self.answer(with_body=method != "HEAD")

    def answer(self, *, with_body: bool = True) -> Answer:
        """The next answer on this connection."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", 0)) if with_body else 0
        while len(self._received) < size:
            self._receive()
        body, self._received = self._received[:size], self._received[size:]
        return Answer(int(first.split()[1]), headers, body)

    def at_end(self) -> bool:
        """Whether the server closes the connection without sending more data."""
        with suppress(ConnectionResetError):
            return self._received == b"" and self.socket.recv(1) == b""
        return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(mark)
        return found + mark

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"closed after {self._received!r}")
        self._received += data

    def close(self) -> None:
        self.socket.close()


def accepted_receipts(url: str) -> int:
    """The number of receipts that an ingest has accepted since its start."""
    figures = httpx.get(f"{url}/metrics").text
    found = re.search(r'^tillstream_receipts_total\{outcome="accepted"\} (\S+)$', figures, re.MULTILINE)
    return int(float(found[1])) if found else 0


def head(**headers: object) -> bytes:
    """The head of a POST to /receipt with these headers."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /receipt HTTP/1.1", "host: x", *lines, "", ""]).encode()
