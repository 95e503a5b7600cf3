"""Opens the desk for a verb: at the engine that runs on the data directory, or else over its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request

import msgspec

from tillstream import composition
from tillstream.access import machine_token
from tillstream.clock import SystemClock
from tillstream.config.data_directory import DataDirectory, Holder
from tillstream.config.settings import Settings
from tillstream.database.base import Row
from tillstream.errors import BadQuery, DatabaseUnavailable, IngestUnavailable
from tillstream.quarantine.replay import ANSWER_LIMIT_S
from tillstream.quarantine.service import Edit, Outcome, QuarantineService
from tillstream.queries.quarantine import place_of

_PATH = "/api/v1/quarantine"
_SAID_BY_DESK = (404, 409, 422)


class _Answers(msgspec.Struct):
    entries: list[Outcome]


@contextmanager
def open_desk(directory: DataDirectory, settings: Settings) -> Iterator[QuarantineService]:
    """The desk on a directory. Raises `DatabaseUnavailable` or `DataDirectoryError`."""
    holder = directory.holder("engine")
    if holder is not None:
        yield RemoteQuarantineService(holder, machine_token.authorization(directory))
        return
    with directory.lock("engine"), composition.open_read_side(directory, settings, SystemClock()) as reading:
        yield reading.quarantine_service


class RemoteQuarantineService(QuarantineService):
    """The desk of a running engine, asked over HTTP: nobody else can open its store."""

    def __init__(self, holder: Holder, authorization: Mapping[str, str]) -> None:
        self._target = f"the engine of process {holder.pid}"
        if not holder.address:
            raise DatabaseUnavailable("ask", self._target, "it is only starting", "try again in a moment")
        self._address = holder.address
        self._authorization = authorization
        self._opener = machine_token.opener()

    def page(self, filters: Mapping[str, str]) -> Row:
        status, answer = self._ask(f"?{urlencode(filters)}")
        page: Row = self._read(status, answer, Row)
        return page

    def one(self, entry: str) -> Row | None:
        status, answer = self._ask(f"/{place_of(entry)}")
        return None if status == 404 else self._read(status, answer, Row)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        status, answer = self._ask(f"/{place_of(entry)}/replay", msgspec.json.encode(edit or Edit()))
        found: Outcome = self._read(status, answer, Outcome)
        return found

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        status, answer = self._ask("/discard", msgspec.json.encode({"entries": entries}))
        found: _Answers = self._read(status, answer, _Answers)
        return found.entries

    def _ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        request = Request(f"{self._address}{_PATH}{path}", body, {**headers, **self._authorization})
        try:
            # The engine waits for ingest itself.
            with self._opener.open(request, timeout=2 * ANSWER_LIMIT_S) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (OSError, HTTPException) as error:
            raise DatabaseUnavailable("ask", f"{self._target} at {self._address}", error, "see its log") from error

    def _read(self, status: int, answer: bytes, kind: Any) -> Any:
        """The answer, where it is one of the desk. Raises what the desk would have raised."""
        try:
            if status == 200 or (kind is Outcome and status in _SAID_BY_DESK):
                return msgspec.json.decode(answer, type=kind)
            [told, *_] = msgspec.json.decode(answer)["errors"]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise DatabaseUnavailable("ask", f"{self._target} at {self._address}", f"it answered {status}") from error
        if status == HTTPStatus.UNAUTHORIZED:
            raise DatabaseUnavailable("ask", self._target, told["error"], "run this as the user of the engine")
        if status == HTTPStatus.BAD_REQUEST:
            raise BadQuery(told["path"], told["error"], told["hint"])
        raise IngestUnavailable("have it done by", self._target, told["error"], told["hint"])
