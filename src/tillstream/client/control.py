"""HTTP clients for single requests: alerts to the webhook, replayed receipts to ingest, and questions to an engine.

`tillstream.client.sender` sends receipts in large numbers.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from ipaddress import ip_address
from itertools import chain, repeat
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from tillstream import __version__
from tillstream.config.data_directory import Holder
from tillstream.errors import DatabaseUnavailable, TillstreamError

RESPONSE_LIMIT_BYTES = 256 * 1024 * 1024
"""The maximum size of a response. It is large enough for the largest payload in quarantine, encoded as JSON."""

RETRYABLE = frozenset({408, 429})
"""The 4xx statuses after which the same request may succeed later. A request is also repeated after any 5xx."""

Wait = Callable[[str, float], bool]
"""Waits before the next attempt. Gets the reason for the failure and the pause in seconds. Returns False to stop."""


class RequestFailed(TillstreamError):
    """The request got no HTTP response."""


class Response(NamedTuple):
    status: int
    body: bytes

    @property
    def retryable(self) -> bool:
        return self.status in RETRYABLE or self.status >= 500


class ControlClient:
    """Sends each request over a new connection and follows no redirect. It is safe to use from any thread.

    `timeout_s` limits each wait for the server. `pauses_s` are the pauses between attempts. If there are more
    attempts, the last pause is repeated. A response body is truncated to `limit_bytes`. With `same_machine`, the
    client accepts any certificate and uses no proxy.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        pauses_s: tuple[float, ...] = (1.0,),
        same_machine: bool = False,
        limit_bytes: int = RESPONSE_LIMIT_BYTES,
    ) -> None:
        self._timeout_s = timeout_s
        self._pauses_s = pauses_s
        self._same_machine = same_machine
        self._limit_bytes = limit_bytes

    def send(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        wait: Wait | None = None,
    ) -> Response:
        """Send a POST request with the body, or a GET request if `body` is None. Returns the last response.

        After a connection error or a retryable status, `wait` is called. If it returns True, the request is sent again.
        Without `wait`, the request is sent only once. Raises `RequestFailed` if the last attempt got no response.
        """
        pauses_s = chain(self._pauses_s, repeat(self._pauses_s[-1]))
        while True:
            try:
                response = self._attempt(url, body, headers)
                reason = f"it answered {response.status}"
                if not response.retryable or wait is None or not wait(reason, next(pauses_s)):
                    return response
            except RequestFailed as error:
                if wait is None or not wait(str(error), next(pauses_s)):
                    raise

    def _attempt(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        # Imported only here, because the import takes a quarter of a second, and most processes never need it.
        import httpx

        # At level INFO, these libraries log the URL of each request, but the webhook URL is a secret.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        sent = {"User-Agent": f"tillstream/{__version__}", "Accept-Encoding": "identity", **headers}
        method = "GET" if body is None else "POST"
        try:
            with (
                httpx.Client(verify=self._tls, trust_env=not self._is_local(url), timeout=self._timeout_s) as client,
                client.stream(method, url, content=body, headers=sent) as response,
            ):
                received = bytearray()
                for part in response.iter_raw() if self._limit_bytes else ():
                    received += part
                    if len(received) >= self._limit_bytes:
                        break
                return Response(response.status_code, bytes(received[: self._limit_bytes]))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise RequestFailed(str(error) or type(error).__name__) from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return unverified_tls() if self._same_machine else ssl.create_default_context()

    def _is_local(self, url: str) -> bool:
        """Whether the server is on this machine. If so, the request must not use a proxy."""
        host = urlsplit(url).hostname or ""
        try:
            return self._same_machine or host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


class EngineClient:
    """Sends requests to a running engine. It is safe to use from any thread."""

    def __init__(self, holder: Holder, authorization: Mapping[str, str], timeout_s: float) -> None:
        """`holder` is the process with the lock `engine`. Raises `DatabaseUnavailable` while the engine is starting."""
        self.name = f"the engine of process {holder.pid}"
        if not holder.address:
            raise self.unavailable("it is still starting", "try again in a moment")
        self._address = holder.address
        self._headers = {"Content-Type": "application/json", **authorization}
        self._client = ControlClient(timeout_s, same_machine=True)

    def send(self, path: str, body: bytes | None = None) -> Response:
        """Send a POST request with the JSON body, or a GET request if `body` is None.

        Raises `DatabaseUnavailable` if the engine does not respond, or responds with 401.
        """
        try:
            response = self._client.send(f"{self._address}{path}", body, self._headers)
        except RequestFailed as error:
            raise self.unavailable(f"at {self._address}: {error}") from error
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise self.unavailable("it denies access", "run this as the user of the engine")
        return response

    def unavailable(self, because: object, hint: str = "see its log") -> DatabaseUnavailable:
        """Return the error for a failed request."""
        return DatabaseUnavailable("ask", self.name, because, hint)


def unverified_tls() -> ssl.SSLContext:
    """Return a TLS context that accepts any certificate, for connections to this machine.

    Verification would fail, because the server's certificate is for the host name that other machines use, not for
    `127.0.0.1`.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
