"""Posts quarantined content to ingest again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from threading import Lock
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tillstream.client.control import ControlClient, RequestFailed
from tillstream.errors import IngestUnavailable
from tillstream.formats.base import Decoder, Skip
from tillstream.formats.registry import Formats
from tillstream.receipt.model import REPLAY, SIMULATED

RESPONSE_TIMEOUT_S = 30.0

_BLANK = b"\xef\xbb\xbf \t\r\n"


class ReplayResult(NamedTuple):
    """The result of a replay. `errors` is empty if ingest accepted everything.

    If the content was a single receipt, `key` and `day` are the key and the business day of this receipt. `receipts`
    is the number of accepted receipts.
    """

    errors: Sequence[Mapping[str, str]]
    key: str = ""
    day: str = ""
    receipts: int = 0


class _Rejected(Struct):
    index: int
    errors: list[dict[str, str]]


class _IngestResponse(Struct, rename="camel"):
    accepted: int = 0
    rejected: Sequence[_Rejected] = ()
    receipt_key: str = ""
    day: str = ""
    errors: Sequence[dict[str, str]] = ()


class Replayer:
    """Posts content to ingest. Thread-safe.

    For each request, `address` returns the URL of ingest, and `authorization` returns the headers with the key.
    If `remote` is true, ingest may run on another machine, so its certificate is verified.
    """

    def __init__(
        self,
        address: Callable[[], str],
        authorization: Callable[[], Mapping[str, str]],
        formats: Formats,
        *,
        remote: bool = False,
    ) -> None:
        self._address = address
        self._authorization = authorization
        self._formats = formats
        self._decoding = Lock()
        self._client = ControlClient(RESPONSE_TIMEOUT_S, same_machine=not remote)

    @property
    def media_types(self) -> list[str]:
        """The media types that content may have."""
        return self._formats.media_types

    def media_type(self, source: str, requested: str = "") -> str:
        """Return the media type for a replay, or an empty string if it is unknown.

        `source` is the source of the entry, such as `csv/http`. `requested` is a media type or the name of a format,
        such as `text/csv` or `csv`. If it is empty, the format of the source is used.
        """
        name = requested or source.partition("/")[0]
        decoder = self._formats.named(name) or next((each for each in self._formats if each.name == name), None)
        # The media type is sent in a header, which must be printable ASCII.
        if decoder is None or not decoder.media_types or not (name.isascii() and name.isprintable()):
            return ""
        return requested if "/" in requested else decoder.media_types[0]

    def post(self, content: bytes, media_type: str, source: str) -> ReplayResult:
        """Post content to ingest. `source` is the source of the entry.

        Raises `IngestUnavailable` if ingest does not respond, denies access, or cannot accept receipts now.
        """
        decoder = self._formats.decoder(media_type)
        with self._decoding:
            several = decoder is not None and _has_several(decoder, content)
        # `/receipt` refuses an array, even an array of one receipt.
        path = "/receipts" if several or content.lstrip(_BLANK).startswith(b"[") else "/receipt"
        replay = f"{REPLAY}/{SIMULATED}" if source.endswith(f"/{SIMULATED}") else REPLAY
        headers = {"Content-Type": media_type, "Tillstream-Source": replay, **self._authorization()}
        address = self._address()
        try:
            response = self._client.send(f"{address}{path}", content, headers)
        except RequestFailed as error:
            raise IngestUnavailable("reach ingest at", f"{address}{path}", error, "see its log, try again") from error
        body = _decode(response.body)
        errors = [
            {**error, "path": f"$[{rejected.index}]{error['path'][1:]}"}
            for rejected in body.rejected
            for error in rejected.errors
        ]
        if response.status == HTTPStatus.ACCEPTED:
            return ReplayResult(errors, body.receipt_key, body.day, body.accepted)
        errors = list(body.errors) or [{"path": "$", "error": f"it answered {response.status}", "hint": ""}]
        # This status means that ingest refuses the API key. The content is not at fault, and no entry can be replayed.
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise IngestUnavailable("replay to", address, errors[0]["error"], "see the setting ingest_key_file")
        if response.retryable:
            raise IngestUnavailable("replay to", address, errors[0]["error"], "try again in a moment")
        return ReplayResult(errors)


def _has_several(decoder: Decoder, content: bytes) -> bool:
    receipts = (each for each in decoder.decode(io.BytesIO(content)) if not isinstance(each, Skip))
    return len(list(islice(receipts, 2))) > 1


def _decode(body: bytes) -> _IngestResponse:
    try:
        return msgspec.json.decode(body, type=_IngestResponse)
    except msgspec.DecodeError:
        # A proxy between the engine and ingest may respond with HTML.
        return _IngestResponse()
