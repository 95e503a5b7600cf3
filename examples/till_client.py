"""A client for tills, to be copied. It stores each receipt on the till's disk and sends it until it is acknowledged.

In the program of the till, before it prints the receipt:

    Spool("spool").store({"cashReceiptID": "4711", "storeID": "12", "date": "2026-11-23 08:15:42", ...})

In another thread, or in another process (`python till_client.py run --spool spool --to URL`):

    Forwarder(Spool("spool"), "http://127.0.0.1:3000").run()

The spool is an SQLite database with a rollback journal and `synchronous=EXTRA`, the strictest mode of SQLite. Each
commit is synced to disk, and SQLite rolls back an incomplete commit after a power cut. The steps of a receipt are:

1. `store` commits the receipt and returns. After a power cut before that, the receipt is not stored.
2. The forwarder sends the receipt. It repeats the same bytes until it gets a final answer, and does not send later
   receipts before that.
3. After a 202, tillstream has the receipt on its disk, and the forwarder deletes it from the spool. After a power cut
   before the deletion, the receipt is sent again, and tillstream counts it once.
4. After a 400, 413, 415 or 422, the forwarder appends the receipt and the errors to `refused.ndjson`, syncs the file,
   and deletes the receipt from the spool. After a power cut in between, the file has the receipt twice.

A till can be offline for a day, and it can be switched off at any moment. Each receipt still counts once.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import logging
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SPOOL_LIMIT_BYTES = 256 * 1024 * 1024
BATCH_LIMIT_RECEIPTS, BATCH_LIMIT_BYTES = 500, 256 * 1024
ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 30.0
IDLE_LIMIT_S = 5.0  # Tillstream closes a connection after ten idle seconds.
POLL_S = 0.2
FIRST_PAUSE_S, MAX_PAUSE_S, MAX_RETRY_AFTER_S = 0.5, 60.0, 600.0
REJECTION_STATUSES = (400, 413, 415, 422)

log = logging.getLogger("till_client")


class SpoolError(Exception):
    """An operation on the spool failed. The message names the operation, the folder and the reason."""


class SpoolFull(SpoolError):
    """The spool has reached its size limit. The receipt was not stored."""


class SpoolInUse(SpoolError):
    """Another program forwards from this spool."""


class NoFinalAnswer(Exception):
    """A request got no final answer, so its receipts must be sent again."""


class Spool:
    """Receipts on the till's disk, in order. Each thread and each program must open its own `Spool`.

    `limit_bytes` limits the database, and also the file of refused receipts.
    """

    def __init__(self, folder: str | Path, limit_bytes: int = SPOOL_LIMIT_BYTES) -> None:
        self.folder = Path(folder)
        self.refused = self.folder / "refused.ndjson"
        self._limit_bytes = limit_bytes
        with self._describing_errors("open the spool"):
            self.folder.mkdir(exist_ok=True)
            _sync_folder(self.folder.absolute().parent)
            self._db = sqlite3.connect(self.folder / "spool.sqlite3", timeout=30, isolation_level=None)
            self._db.execute("PRAGMA synchronous=EXTRA")
            self._db.execute("CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
            (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
            self._db.execute(f"PRAGMA max_page_count={limit_bytes // page_bytes}")

    def store(self, receipt: Mapping[str, Any] | bytes) -> int:
        """Store a receipt on disk, and return its number. Raises `ValueError` if it is not a JSON object.

        A mapping may contain `Decimal` amounts and `datetime` dates. Bytes keep the digits of their numbers.
        Raises `SpoolFull` at the size limit, and `SpoolError` for other errors.
        """
        body = _one_line(receipt)
        if self.refused_bytes() + len(body) > self._limit_bytes:
            raise SpoolFull(f"the receipt was not stored, because {self.refused} is full; check it and move it away")
        with self._describing_errors("store a receipt"):
            return self._db.execute("INSERT INTO receipts (body) VALUES (?)", (body,)).lastrowid or 0

    def first(self, count: int) -> list[tuple[int, bytes]]:
        """The oldest receipts with their numbers, limited to `count` receipts and to `BATCH_LIMIT_BYTES`."""
        found: list[tuple[int, bytes]] = []
        size = 0
        query = "SELECT id, body FROM receipts ORDER BY id LIMIT ?"
        with self._describing_errors("read the spool"), closing(self._db.execute(query, (count,))) as rows:
            for number, body in rows:
                size += len(body)
                if found and size > BATCH_LIMIT_BYTES:
                    break
                found.append((number, body))
        return found

    def delete_through(self, last: int) -> None:
        """Delete the receipts up to and including this number."""
        with self._describing_errors("delete receipts"):
            self._db.execute("DELETE FROM receipts WHERE id <= ?", (last,))

    def append_refused(self, body: bytes, status: int, errors: object) -> None:
        """Append a rejected receipt to `refused.ndjson`, and sync the file."""
        line = b'{"status": %d, "errors": %b, "receipt": %b}\n' % (status, json.dumps(errors).encode(), body)
        with self._describing_errors("write a refused receipt"):
            with self.refused.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    # A power cut may leave an incomplete line. Its receipt is still in the spool.
                    line = line if file.read() == b"\n" else b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(self.folder)

    def waiting(self) -> int:
        """The number of receipts that are not yet sent."""
        with self._describing_errors("count the receipts"):
            return int(self._db.execute("SELECT count(*) FROM receipts").fetchone()[0])

    def refused_bytes(self) -> int:
        return self.refused.stat().st_size if self.refused.exists() else 0

    def lock(self) -> sqlite3.Connection:
        """Lock the spool for a forwarder until the connection is closed or the process ends. Raises `SpoolInUse`."""
        with self._describing_errors("lock the spool"):
            lock = sqlite3.connect(self.folder / "forwarder.lock", timeout=0.5, isolation_level=None)
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                lock.close()
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise SpoolInUse(f"another program already forwards the receipts in {self.folder}") from error
                raise
        return lock

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _describing_errors(self, action: str) -> Iterator[None]:
        """Raise errors of SQLite and the file system as `SpoolError`."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                hint = f"its limit is {self._limit_bytes} bytes; check the connection to tillstream and the disk space"
                raise SpoolFull(f"could not {action}: the spool {self.folder} is full; {hint}") from error
            raise SpoolError(f"could not {action} (spool {self.folder}): {error}") from error


class Forwarder:
    """Sends the receipts of a spool in order. Raises `SpoolInUse` if another forwarder uses the spool.

    `headers` are added to every request, for example `X-API-Key`. `pause` sleeps for a number of seconds. `run` ends if
    it returns a true value, so `threading.Event().wait` can be used. `jitter` and `clock` are parameters for tests.
    """

    def __init__(
        self,
        spool: Spool,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_pause_s: float = MAX_PAUSE_S,
        pause: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not an HTTP address; an example is http://127.0.0.1:3000")
        connection_type = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._http = connection_type(parts.hostname, parts.port)
        self._base = parts.path.rstrip("/")
        self._headers = dict(headers or {})
        self._max_pause_s = max_pause_s
        self._pause, self._jitter, self._clock = pause, jitter, clock
        self._spool = spool
        self._lock = spool.lock()
        self._used_s = 0.0
        self._failures = 0
        self._size = BATCH_LIMIT_RECEIPTS

    def run(self) -> None:
        """Forward receipts until `pause` returns a true value. The process may be killed at any moment."""
        while not self._pause(self.step()):
            pass

    def step(self) -> float:
        """Send the next receipts, and return the seconds to wait before the next step."""
        retry_after_s = None
        try:
            batch = self._spool.first(self._size)
            if not batch:
                return POLL_S
            status, retry_after_s, answer = self._post([body for _, body in batch])
            if status in REJECTION_STATUSES and len(batch) > 1 and not _is_complete(answer, len(batch)):
                # The whole batch was rejected. Sent one by one, the receipts are rejected or accepted separately.
                self._size = 1
                return 0.0
            for index, errors in _rejected(status, answer, len(batch)).items():
                self._spool.append_refused(batch[index][1], status, errors)
                log.warning("receipt %d was refused with status %d: %s", batch[index][0], status, errors)
            self._spool.delete_through(batch[-1][0])
        except (NoFinalAnswer, SpoolError) as error:
            return self._retry_pause_s(error, retry_after_s)
        self._failures = 0
        self._size = min(BATCH_LIMIT_RECEIPTS, 2 * self._size)
        return 0.0

    def close(self) -> None:
        self._http.close()
        self._lock.close()

    def _retry_pause_s(self, error: Exception, retry_after_s: float | None) -> float:
        """The seconds to wait after an error: `retry_after_s` or an exponential pause, both with a random part."""
        self._size = max(1, self._size // 2)
        if retry_after_s is not None:
            pause_s = retry_after_s * (1 + self._jitter() / 4)
        else:
            pause_s = min(self._max_pause_s, FIRST_PAUSE_S * 2.0 ** min(self._failures, 20))
            pause_s *= (1 + self._jitter()) / 2
        self._failures += 1
        log.warning("%s; the next attempt is in %.1f s", error, pause_s)
        return pause_s

    def _post(self, bodies: Sequence[bytes]) -> tuple[int, float | None, Any]:
        """Post the receipts. Return the status, `Retry-After` in seconds or None, and the JSON of the answer or None.

        Raises `NoFinalAnswer` if the connection fails.
        """
        path, body, headers = "/receipt", bodies[0], {**self._headers, "Content-Type": "application/json"}
        if len(bodies) > 1:
            path, body = "/receipts", gzip.compress(b"\n".join(bodies), mtime=0)
            headers |= {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        try:
            self._connect()
            self._http.request("POST", self._base + path, body, headers)
            response = self._http.getresponse()
            text = response.read(ANSWER_LIMIT_BYTES)
            if response.read(1):
                raise http.client.HTTPException("the answer is too long")
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            reason = str(error) or type(error).__name__
            raise NoFinalAnswer(f"no answer from {self._http.host}:{self._http.port} ({reason})") from error
        self._used_s = self._clock()
        header = response.headers.get("Retry-After", "")
        retry_after_s = None
        if header.isascii() and header.isdigit():
            retry_after_s = min(MAX_RETRY_AFTER_S, max(FIRST_PAUSE_S, float(header)))
        try:
            return response.status, retry_after_s, json.loads(text)
        except (ValueError, RecursionError):
            return response.status, retry_after_s, None

    def _connect(self) -> None:
        if self._http.sock is None or self._clock() - self._used_s > IDLE_LIMIT_S:
            self._http.close()
            self._http.timeout = CONNECT_TIMEOUT_S
            self._http.connect()
        self._http.sock.settimeout(ANSWER_TIMEOUT_S)


def _is_complete(answer: Any, count: int) -> bool:
    """Whether the answer accepts or rejects each of `count` receipts."""
    try:
        indexes = {each["index"] for each in answer["rejected"] if each["errors"]}
        return indexes <= set(range(count)) and bool(len(indexes) == count - answer["accepted"])
    except (KeyError, TypeError):
        return False


def _rejected(status: int, answer: Any, count: int) -> dict[int, Any]:
    """The errors of the rejected receipts by their index in the request. All others are accepted.

    Raises `NoFinalAnswer` if the answer is not from tillstream, but for example from a proxy or a captive portal.
    """
    if status in (202, *REJECTION_STATUSES) and _is_complete(answer, count):
        return {each["index"]: each["errors"] for each in answer["rejected"]}
    if status in REJECTION_STATUSES and count == 1 and isinstance(answer, dict) and answer.get("errors"):
        return {0: answer["errors"]}
    raise NoFinalAnswer(f"unexpected answer with status {status}: {str(answer)[:200]}")


def _one_line(receipt: Mapping[str, Any] | bytes) -> bytes:
    """The receipt as one line of JSON. Raises `ValueError` if it is not a JSON object."""
    if not isinstance(receipt, bytes):
        return json.dumps(dict(receipt), default=str, allow_nan=False, separators=(",", ":")).encode()
    text = receipt.decode("utf-8-sig").strip()
    if not isinstance(json.loads(text), dict):
        raise ValueError("a receipt is one JSON object")
    # JSON strings cannot contain line breaks, so this changes only whitespace.
    return text.replace("\r", " ").replace("\n", " ").encode()


def _sync_folder(folder: Path) -> None:
    """Sync the names of new files in a folder. Windows has no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _send(spool: Spool, url: str, names: Sequence[str]) -> int:
    """Store the files, send the receipts of the spool, and return 1 if one was refused. Unsent receipts stay stored."""
    for name in names:
        spool.store(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    refused_bytes = spool.refused_bytes()
    try:
        with closing(Forwarder(spool, url)) as forwarder:
            while forwarder.step() == 0:
                pass
    except SpoolInUse as error:
        print(f"stored; {error}")
    return int(spool.refused_bytes() > refused_bytes)


def _status(spool: Spool) -> str:
    text = f"waiting: {spool.waiting()}"
    for _, body in spool.first(1):
        oldest = json.loads(body)
        text += f", oldest: {oldest.get('cashReceiptID')} of {oldest.get('date')}"
    return f"{text}; refused: {spool.refused_bytes()} bytes in {spool.refused}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Store receipts on this till's disk and send them to tillstream.")
    parser.add_argument(
        "verb",
        choices=("send", "run", "status"),
        help="send: store FILEs and send all stored receipts; run: send forever",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a receipt as JSON for send; - is standard input")
    parser.add_argument("--spool", required=True, metavar="DIR", help="folder on this till's disk")
    parser.add_argument("--to", default="http://127.0.0.1:3000", metavar="URL", help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=SPOOL_LIMIT_BYTES, metavar="BYTES", help="size limit of the spool")
    parser.add_argument(
        "--longest-pause", type=float, default=MAX_PAUSE_S, metavar="S", help="maximum seconds between attempts"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="till_client: %(message)s", stream=sys.stderr)
    status = 0
    try:
        with closing(Spool(options.spool, options.limit)) as spool:
            if options.verb == "run":
                with closing(Forwarder(spool, options.to, max_pause_s=options.longest_pause)) as forwarder:
                    forwarder.run()
            if options.verb == "send":
                status = _send(spool, options.to, options.files)
            print(_status(spool))
    except (SpoolError, ValueError, OSError) as error:
        print(f"till_client: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
