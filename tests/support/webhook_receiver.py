"""An HTTP server on loopback that receives webhook events, and accepts or rejects them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class WebhookReceiver:
    """Answers each event with `status`, or never if it is None. `accepted` has the events that got a 2xx status."""

    def __init__(self, port: int = 0) -> None:
        self.status: int | None = 204
        self.rejected_rules: set[str] = set()
        """Alert rules whose events get status 400."""
        self.headers: dict[str, str] = {}
        self.accepted: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/t0ken/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.requests.append(("GET", self.path, dict(self.headers)))
                self._answer(200)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(("POST", self.path, dict(self.headers)))
                event = msgspec.json.decode(body)
                if receiver.status is None:
                    receiver.closing.wait(30)
                    return
                status = 400 if event["alert"]["rule"] in receiver.rejected_rules else receiver.status
                if status < 300:
                    receiver.accepted.append(event)
                self._answer(status)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


@contextmanager
def webhook_receiver(port: int = 0) -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver(port)
    try:
        yield receiver
    finally:
        receiver.close()
