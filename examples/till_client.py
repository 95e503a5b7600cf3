"""A till's side of tillstream, to be copied: each receipt goes to the till's own disk, then on until it is safe.

In the program of the till, before the receipt is printed:

    Spool("spool").store({"cashReceiptID": "4711", "storeID": "12", "date": "2026-11-23 08:15:42", ...})

and beside it, in a thread or a process of its own (`python till_client.py run --spool spool --to URL`):

    Forwarder(Spool("spool"), "http://127.0.0.1:3000").run()

The spool is an SQLite file and no file format of our own: a commit is synced to disk, what a power cut left half
written is taken back, Linux and Windows lock it alike, and what was acknowledged leaves it without rewriting the rest.
Its rollback journal with `synchronous=EXTRA` is the strictest that SQLite has. What is synced, in this order:

1. `store` returns once the receipt is committed. Power lost before: `store` never returned, nothing was promised.
2. The receipt is sent. Until an answer counts, the very same bytes are sent again, and the others wait behind them.
3. After a 202 (tillstream has it on its own disk) it leaves the spool. Power lost before: it is sent again, and
   tillstream counts it once.
4. After 400, 413, 415 or 422 it is appended to `refused.ndjson` with the reasons and synced, then it leaves the
   spool. Power lost between: it is sent and refused again, and stands there twice.

So a till that is offline for a day, or switched off at any moment, loses nothing and doubles nothing.
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
IDLE_LIMIT_S = 5.0  # tillstream closes a connection that was silent for ten seconds
POLL_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_TOLD_S = 0.5, 60.0, 600.0
NEVER_TAKEN = (400, 413, 415, 422)

log = logging.getLogger("till_client")


class SpoolError(Exception):
    """The spool could not be used; says what was being done, to what, and why it failed."""


class SpoolFull(SpoolError):
    """There is no room: nothing was stored."""


class InUse(SpoolError):
    """Another program forwards from this spool."""


class NotTaken(Exception):
    """No answer that counts: the same receipts are to be sent again."""


class Spool:
    """Receipts on this till's disk, in order. Each thread and each program opens a `Spool` of its own.

    What waits and what was refused may take `limit_bytes` each; then `store` raises `SpoolFull`.
    """

    def __init__(self, folder: str | Path, limit_bytes: int = SPOOL_LIMIT_BYTES) -> None:
        self.folder = Path(folder)
        self.refused = self.folder / "refused.ndjson"
        self._limit_bytes = limit_bytes
        with self._doing("open it"):
            self.folder.mkdir(exist_ok=True)
            _sync_folder(self.folder.absolute().parent)
            self._db = sqlite3.connect(self.folder / "spool.sqlite3", timeout=30, isolation_level=None)
            self._db.execute("PRAGMA synchronous=EXTRA")
            self._db.execute("CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
            (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
            self._db.execute(f"PRAGMA max_page_count={limit_bytes // page_bytes}")

    def store(self, receipt: Mapping[str, Any] | bytes) -> int:
        """Its number, once it is on disk. Raises `ValueError` for what is no JSON object, and `SpoolError`.

        In a mapping, an amount may be a `Decimal` and the date a `datetime`; bytes are sent as they are.
        """
        body = _one_line(receipt)
        if self.refused_bytes() + len(body) > self._limit_bytes:
            raise SpoolFull(f"nothing was stored: {self.refused} is full; see what was refused, and move it away")
        with self._doing("store a receipt"):
            return self._db.execute("INSERT INTO receipts (body) VALUES (?)", (body,)).lastrowid or 0

    def first(self, count: int) -> list[tuple[int, bytes]]:
        """Up to so many receipts with their numbers, oldest first, as far as a batch may have their bytes."""
        found: list[tuple[int, bytes]] = []
        size = 0
        query = "SELECT id, body FROM receipts ORDER BY id LIMIT ?"
        with self._doing("read it"), closing(self._db.execute(query, (count,))) as rows:
            for number, body in rows:
                size += len(body)
                if found and size > BATCH_LIMIT_BYTES:
                    break
                found.append((number, body))
        return found

    def settle(self, last: int) -> None:
        """Take out everything up to this number: it is safe, or was put aside."""
        with self._doing("take out what is settled"):
            self._db.execute("DELETE FROM receipts WHERE id <= ?", (last,))

    def put_aside(self, body: bytes, status: int, errors: object) -> None:
        """Append a receipt to `refused.ndjson` with what was said of it, and sync."""
        line = b'{"status": %d, "errors": %b, "receipt": %b}\n' % (status, json.dumps(errors).encode(), body)
        with self._doing("put a refused receipt aside"):
            with self.refused.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    # A power cut may have left half a line; its receipt is still in the spool.
                    line = line if file.read() == b"\n" else b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(self.folder)

    def waiting(self) -> int:
        with self._doing("count what waits"):
            return int(self._db.execute("SELECT count(*) FROM receipts").fetchone()[0])

    def refused_bytes(self) -> int:
        return self.refused.stat().st_size if self.refused.exists() else 0

    def claim(self) -> sqlite3.Connection:
        """The right to forward, until it is closed or the program ends, however it ends. Raises `InUse`."""
        with self._doing("claim it"):
            lock = sqlite3.connect(self.folder / "forwarder.lock", timeout=0.5, isolation_level=None)
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                lock.close()
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise InUse(f"another program already forwards what is in {self.folder}") from error
                raise
        return lock

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                hint = f"the limit is {self._limit_bytes} bytes; can tillstream be reached, and has the disk room?"
                raise SpoolFull(f"could not {what} (spool {self.folder}): it is full; {hint}") from error
            raise SpoolError(f"could not {what} (spool {self.folder}): {error}") from error


class Forwarder:
    """Sends what a spool holds, in order, until tillstream has it. Raises `InUse` where another one does.

    `headers` go with every request (`X-API-Key`, say). `pause` waits so many seconds; `run` ends when it
    returns something true, as `threading.Event().wait` does. `chance` and `clock` are there for tests.
    """

    def __init__(
        self,
        spool: Spool,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        longest_pause_s: float = LONGEST_PAUSE_S,
        pause: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no address of tillstream; give one such as http://127.0.0.1:3000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._http = kind(parts.hostname, parts.port)
        self._base = parts.path.rstrip("/")
        self._headers = dict(headers or {})
        self._longest_pause_s = longest_pause_s
        self._pause, self._chance, self._clock = pause, chance, clock
        self._spool = spool
        self._claim = spool.claim()
        self._used_s = 0.0
        self._failures = 0
        self._size = BATCH_LIMIT_RECEIPTS

    def run(self) -> None:
        """Forward for ever; it may be killed at any moment."""
        while not self._pause(self.step()):
            pass

    def step(self) -> float:
        """Send what comes next; returns the seconds to wait before the next step, 0 where something was settled."""
        told_s = None
        try:
            batch = self._spool.first(self._size)
            if not batch:
                return POLL_S
            status, told_s, answer = self._post([body for _, body in batch])
            if status in NEVER_TAKEN and len(batch) > 1 and not _names_each(answer, len(batch)):
                # Something is wrong with the whole of it: each one alone is told from the others.
                self._size = 1
                return 0.0
            for index, errors in _rejected(status, answer, len(batch)).items():
                self._spool.put_aside(batch[index][1], status, errors)
                log.warning("receipt %d was refused (%d) and put aside: %s", batch[index][0], status, errors)
            self._spool.settle(batch[-1][0])
        except (NotTaken, SpoolError) as trouble:
            return self._later(trouble, told_s)
        self._failures = 0
        self._size = min(BATCH_LIMIT_RECEIPTS, 2 * self._size)
        return 0.0

    def close(self) -> None:
        self._http.close()
        self._claim.close()

    def _later(self, trouble: Exception, told_s: float | None) -> float:
        """Seconds to wait: as told and a little more, or about twice as long as the last time."""
        self._size = max(1, self._size // 2)
        if told_s is not None:
            pause_s = told_s * (1 + self._chance() / 4)
        else:
            pause_s = min(self._longest_pause_s, FIRST_PAUSE_S * 2.0 ** min(self._failures, 20))
            pause_s *= (1 + self._chance()) / 2
        self._failures += 1
        log.warning("%s; sent again in %.1f s", trouble, pause_s)
        return pause_s

    def _post(self, bodies: Sequence[bytes]) -> tuple[int, float | None, Any]:
        """Status, Retry-After in seconds, and the answer's JSON (None: it has none). Raises `NotTaken`."""
        path, body, headers = "/receipt", bodies[0], {**self._headers, "Content-Type": "application/json"}
        if len(bodies) > 1:
            path, body = "/receipts", gzip.compress(b"\n".join(bodies), mtime=0)
            headers |= {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        try:
            self._connect()
            self._http.request("POST", self._base + path, body, headers)
            came = self._http.getresponse()
            text = came.read(ANSWER_LIMIT_BYTES)
            if came.read(1):
                raise http.client.HTTPException("the answer is too long")
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            reason = str(error) or type(error).__name__
            raise NotTaken(f"no answer of {self._http.host}:{self._http.port} ({reason})") from error
        self._used_s = self._clock()
        told = came.headers.get("Retry-After", "")
        told_s = min(LONGEST_TOLD_S, max(FIRST_PAUSE_S, float(told))) if told.isascii() and told.isdigit() else None
        try:
            return came.status, told_s, json.loads(text)
        except (ValueError, RecursionError):
            return came.status, told_s, None

    def _connect(self) -> None:
        if self._http.sock is None or self._clock() - self._used_s > IDLE_LIMIT_S:
            self._http.close()
            self._http.timeout = CONNECT_TIMEOUT_S
            self._http.connect()
        self._http.sock.settimeout(ANSWER_TIMEOUT_S)


def _names_each(answer: Any, count: int) -> bool:
    """Whether tillstream tells of each of so many receipts what became of it."""
    try:
        places = {each["index"] for each in answer["rejected"] if each["errors"]}
        return places <= set(range(count)) and bool(len(places) == count - answer["accepted"])
    except (KeyError, TypeError):
        return False


def _rejected(status: int, answer: Any, count: int) -> dict[int, Any]:
    """By its place, what was said of each that will never be taken; the others are safe. Raises `NotTaken`.

    What a proxy or a hotel's portal answers is not tillstream's JSON, and decides nothing.
    """
    if status in (202, *NEVER_TAKEN) and _names_each(answer, count):
        return {each["index"]: each["errors"] for each in answer["rejected"]}
    if status in NEVER_TAKEN and count == 1 and isinstance(answer, dict) and answer.get("errors"):
        return {0: answer["errors"]}
    raise NotTaken(f"it was answered {status}, {str(answer)[:200]}")


def _one_line(receipt: Mapping[str, Any] | bytes) -> bytes:
    """The receipt as JSON on one line; bytes keep their digits. Raises `ValueError`."""
    if not isinstance(receipt, bytes):
        return json.dumps(dict(receipt), default=str, allow_nan=False, separators=(",", ":")).encode()
    text = receipt.decode("utf-8-sig").strip()
    if not isinstance(json.loads(text), dict):
        raise ValueError("a receipt is one JSON object")
    # In JSON a line break can only stand between the parts.
    return text.replace("\r", " ").replace("\n", " ").encode()


def _sync_folder(folder: Path) -> None:
    """Make the names of new files durable; Windows cannot be asked to."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _send(spool: Spool, url: str, names: Sequence[str]) -> int:
    """1 where something was refused; what cannot be sent now stays stored."""
    for name in names:
        spool.store(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    refused_bytes = spool.refused_bytes()
    try:
        with closing(Forwarder(spool, url)) as forwarder:
            while forwarder.step() == 0:
                pass
    except InUse as other:
        print(f"stored; {other}")
    return int(spool.refused_bytes() > refused_bytes)


def _status(spool: Spool) -> str:
    said = f"waiting: {spool.waiting()}"
    for _, body in spool.first(1):
        oldest = json.loads(body)
        said += f", the oldest {oldest.get('cashReceiptID')} of {oldest.get('date')}"
    return f"{said}; refused: {spool.refused_bytes()} bytes in {spool.refused}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Keeps receipts on this till's disk and forwards them to tillstream.")
    parser.add_argument("verb", choices=("send", "run", "status"), help="send: store files, then send what waits")
    parser.add_argument("files", nargs="*", metavar="FILE", help="of send: a receipt as JSON; - is standard input")
    parser.add_argument("--spool", required=True, metavar="DIR", help="folder on this till's own disk")
    parser.add_argument("--to", default="http://127.0.0.1:3000", metavar="URL", help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=SPOOL_LIMIT_BYTES, metavar="BYTES", help="size of the spool")
    parser.add_argument("--longest-pause", type=float, default=LONGEST_PAUSE_S, metavar="S", help="between two tries")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="till_client: %(message)s", stream=sys.stderr)
    status = 0
    try:
        with closing(Spool(options.spool, options.limit)) as spool:
            if options.verb == "run":
                with closing(Forwarder(spool, options.to, longest_pause_s=options.longest_pause)) as forwarder:
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
