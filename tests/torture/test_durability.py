"""Ingest sends a 202 only after the log is synced to disk. The tests read the order from a trace of its system calls."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.ingest import JSON, NDJSON, Connection, encoded
from tests.support.processes import Command, address_of
from tests.support.requirements import require_program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.torture

CALLS = "fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg"
WRITTEN = re.compile(r"pwrite64\(\d+<[^>]*log\.sqlite3-wal>")
SYNCED = re.compile(r"f(?:data)?sync\(\d+<[^>]*log\.sqlite3-wal>(?:\)\s*= 0| <unfinished)")
RESUMED = re.compile(r"<\.\.\. f(?:data)?sync resumed>.*= 0")
ACKNOWLEDGED = re.compile(r"(?:write|writev|sendto|sendmsg)\(.*HTTP/1\.1 202 ")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    require_program("strace")
    return tmp_path / "trace"


@pytest.fixture
def ingest(tmp_path: Path, trace: Path) -> Iterator[Command]:
    strace = ("strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(trace))
    command = Command(
        "ingest", "--data", tmp_path / "data", "--ingest-port", 0, program=(*strace, sys.executable, "-m", "tillstream")
    )
    yield command
    command.close()


def acknowledgements(trace: Path) -> list[bool]:
    """For each 202, whether ingest wrote to the log after the previous 202 and synced it before this one."""
    found = []
    written = synced = False
    for line in trace.read_text(errors="replace").splitlines():
        if WRITTEN.search(line):
            written, synced = True, False
        elif (SYNCED.search(line) and "unfinished" not in line) or RESUMED.search(line):
            synced = True
        elif ACKNOWLEDGED.search(line):
            found.append(written and synced)
            written = synced = False
    return found


def test_every_acknowledgement_follows_a_sync_of_the_log(ingest: Command, trace: Path) -> None:
    connection = Connection(urlsplit(address_of(ingest)).port or 0)
    for number in range(40):
        body, media_type, path = encoded(number), JSON, "/receipt"
        if number % 4 == 3:
            body, media_type, path = b"\n".join(encoded(f"{number}-{part}") for part in range(50)), NDJSON, "/receipts"
        answer = connection.request("POST", path, body, [("content-type", media_type)])
        assert answer.status == 202, json.loads(answer.body)
    connection.close()
    (process,) = psutil.Process(ingest.pid).children()
    process.send_signal(signal.SIGTERM)
    ingest.wait()
    found = wait_until(lambda: acknowledgements(trace), "the trace is written")
    assert found == [True] * 40


def test_the_trace_reader_detects_a_202_before_its_sync(tmp_path: Path) -> None:
    write = '7 pwrite64(5</d/log.sqlite3-wal>, "x", 4096, 0) = 4096'
    sync = "7 fdatasync(5</d/log.sqlite3-wal>) = 0"
    failed = "7 fdatasync(5</d/log.sqlite3-wal>) = -1 EIO (Input/output error)"
    begun = "7 fdatasync(5</d/log.sqlite3-wal> <unfinished ...>"
    ended = "7 <... fdatasync resumed>) = 0"
    sent = '6 writev(9<socket:[1]>, [{iov_base="HTTP/1.1 202 Accepted"..., iov_len=150}], 1) = 150'
    for calls, synced in [
        ([write, sync, sent], True),
        ([write, begun, ended, sent], True),
        ([write, sent, sync], False),
        ([write, begun, sent, ended], False),
        ([sync, write, sent], False),
        ([write, failed, sent], False),
        ([sent], False),
    ]:
        trace = tmp_path / "trace"
        trace.write_text("\n".join(calls))
        assert acknowledgements(trace) == [synced]
