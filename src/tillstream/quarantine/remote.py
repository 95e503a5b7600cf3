"""The quarantine service of a running engine, over HTTP. Only that engine can open the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from tillstream.client.control import ControlClient, RequestFailed, Response
from tillstream.config.data_directory import Holder
from tillstream.database.base import Row
from tillstream.errors import BadQuery, DatabaseUnavailable, IngestUnavailable
from tillstream.quarantine.replay import RESPONSE_TIMEOUT_S
from tillstream.quarantine.service import Edit, Outcome, QuarantineService
from tillstream.queries.quarantine import parse_entry_id

_PATH = "/api/v1/quarantine"
_OUTCOME_STATUSES = (404, 409, 422)

T = TypeVar("T")


class _Outcomes(msgspec.Struct):
    entries: list[Outcome]


class RemoteQuarantineService(QuarantineService):
    """Sends each call to the engine that holds the data directory's lock, and raises the same errors as the engine."""

    def __init__(self, holder: Holder, authorization: Mapping[str, str]) -> None:
        """Raises `DatabaseUnavailable` while the engine starts."""
        self._target = f"the engine of process {holder.pid}"
        if not holder.address:
            raise DatabaseUnavailable("ask", self._target, "it is only starting", "try again in a moment")
        self._address = holder.address
        self._authorization = authorization
        # During a replay the engine itself waits for ingest.
        self._client = ControlClient(2 * RESPONSE_TIMEOUT_S, same_machine=True)

    def page(self, filters: Mapping[str, str]) -> Row:
        return self._decode(*self._send(f"?{urlencode(filters)}"), Row)

    def one(self, entry: str) -> Row | None:
        status, body = self._send(f"/{parse_entry_id(entry)}")
        return None if status == HTTPStatus.NOT_FOUND else self._decode(status, body, Row)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        status, body = self._send(f"/{parse_entry_id(entry)}/replay", msgspec.json.encode(edit or Edit()))
        if status in _OUTCOME_STATUSES:
            status = HTTPStatus.OK
        return self._decode(status, body, Outcome)

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        return self._decode(*self._send("/discard", msgspec.json.encode({"entries": entries})), _Outcomes).entries

    def _send(self, path: str, body: bytes | None = None) -> Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            return self._client.send(f"{self._address}{_PATH}{path}", body, {**headers, **self._authorization})
        except RequestFailed as error:
            raise DatabaseUnavailable("ask", f"{self._target} at {self._address}", error, "see its log") from error

    def _decode(self, status: int, body: bytes, kind: type[T]) -> T:
        """The body of a successful response. Raises the error that another response stands for."""
        try:
            if status == HTTPStatus.OK:
                return msgspec.json.decode(body, type=kind)
            [fault, *_] = msgspec.json.decode(body)["errors"]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise DatabaseUnavailable("ask", f"{self._target} at {self._address}", f"it answered {status}") from error
        if status == HTTPStatus.UNAUTHORIZED:
            raise DatabaseUnavailable("ask", self._target, fault["error"], "run this as the user of the engine")
        if status == HTTPStatus.BAD_REQUEST:
            raise BadQuery(fault["path"], fault["error"], fault["hint"])
        raise IngestUnavailable("have it done by", self._target, fault["error"], fault["hint"])
