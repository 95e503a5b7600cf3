"""`examples/till_client.py` delivers every receipt once and in order, even if the server, the network or the till fails. It
writes rejected receipts to a file."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples import till_client
from examples.till_client import Forwarder, Spool, SpoolError, SpoolFull, SpoolInUse
from tests.support.decimal_receipts import euros
from tests.support.free_ports import free_port
from tests.support.processes import Command, integers_in, run_check, run_command, running_command, running_tillstream
from tests.support.requirements import require_program
from tests.support.scripted_ingest import DROP, GARBAGE, SILENCE, ScriptedIngest, scripted_ingest
from tests.support.till_process import DAY, cents, receipt
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
CLIENT = (sys.executable, ROOT / "examples" / "till_client.py")
TILL = (sys.executable, "-m", "tests.support.till_process")

ACCEPTED = '202 - {"accepted": 1, "rejected": []}'
ERRORS = [{"path": "$.storeID", "error": "it is missing", "hint": ""}]
REFUSED = json.dumps({"errors": ERRORS})

STEPS_LIMIT = 60


class Till:
    """A spool and its forwarder. Pauses are recorded instead of slept."""

    def __init__(self, folder: Path, url: str, jitter: float = 0.5) -> None:
        self.now_s = 0.0
        self.spool = Spool(folder)
        self.forwarder = Forwarder(self.spool, url, jitter=lambda: jitter, clock=lambda: self.now_s)

    def sell(self, *numbers: int) -> None:
        for number in numbers:
            self.spool.store(receipt(number))

    def forward(self) -> list[float]:
        """Forward until the spool is empty, and return the pauses."""
        pauses: list[float] = []
        for _ in range(STEPS_LIMIT):
            if not self.spool.waiting():
                return pauses
            if pause_s := self.forwarder.step():
                pauses.append(pause_s)
        raise AssertionError(f"still waiting after {pauses}")

    def refused(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.spool.refused.read_text().splitlines()]

    def close(self) -> None:
        self.forwarder.close()
        self.spool.close()


@contextmanager
def till(folder: Path, *script: str, jitter: float = 0.5) -> Iterator[tuple[Till, ScriptedIngest]]:
    """A till and a server with scripted answers."""
    with scripted_ingest(*script) as server, closing(Till(folder / "spool", server.url, jitter)) as opened:
        yield opened, server


def sent(server: ScriptedIngest) -> list[list[int]]:
    """The numbers of the receipts in each request."""
    return [
        [
            json.loads(line)["cashReceiptID"]
            for line in (gzip.decompress(each.body) if "content-encoding" in each.headers else each.body).splitlines()
        ]
        for each in server.requests
    ]


# -- outages of a scripted server


@pytest.mark.parametrize("status", [429, 503])
def test_given_retry_after_then_the_same_bytes_are_sent_after_that_time(tmp_path: Path, status: int) -> None:
    with till(tmp_path, f"{status} 7", f"{status} 7", ACCEPTED) as (selling, server):
        selling.sell(1)
        pauses = selling.forward()
    assert pauses == [7 * 1.125] * 2
    assert len({each.body for each in server.requests}) == 1
    assert json.loads(server.requests[0].body) == receipt(1)
    assert (server.requests[0].path, server.connections) == ("/receipt", 1)


def test_a_very_long_or_invalid_retry_after_is_bounded(tmp_path: Path) -> None:
    with till(tmp_path, "503 31536000", "503 tomorrow", "503 0", ACCEPTED, jitter=0.0) as (selling, _):
        selling.sell(1)
        assert selling.forward() == [till_client.MAX_RETRY_AFTER_S, 0.5, 0.5]


@pytest.mark.parametrize(
    "step",
    [
        DROP,
        GARBAGE,
        "500 - {}",
        "401 - {}",
        "404 - {}",
        "408 - {}",
        "200 - <html>welcome to our hotel</html>",
        "202 - <html>welcome to our hotel</html>",
        '202 - {"accepted": 0, "rejected": []}',
        "400 - <html>bad request</html>",
        "413 - <html>too large</html>",
        "302 - {}",
    ],
)
def test_given_an_answer_of_another_server_then_the_receipt_is_retried(tmp_path: Path, step: str) -> None:
    with till(tmp_path, step, ACCEPTED, ACCEPTED) as (selling, server):
        selling.sell(1)
        assert len(selling.forward()) == 1
        selling.sell(2)
        assert selling.forward() == []
    assert sent(server) == [[1], [1], [2]]
    assert not selling.spool.refused.exists()


def test_given_no_answer_then_the_request_times_out_and_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_client, "ANSWER_TIMEOUT_S", 0.1)
    with till(tmp_path, SILENCE, ACCEPTED) as (selling, server):
        selling.sell(1)
        assert len(selling.forward()) == 1
        assert selling.forwarder._http.sock.gettimeout() == 0.1
    assert sent(server) == [[1], [1]]


def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with till(tmp_path, ACCEPTED, ACCEPTED) as (selling, server):
        selling.sell(1)
        with monkeypatch.context() as narrow:
            narrow.setattr(till_client, "ANSWER_LIMIT_BYTES", len(ACCEPTED) - 7)
            assert selling.forwarder.step() > 0
        assert selling.forward() == []
    assert server.connections == 2


def test_pauses_double_up_to_a_minute_with_random_jitter(tmp_path: Path) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    for jitter, shares in ((0.0, 0.5), (1.0, 1.0)):
        with closing(Till(tmp_path / "spool", unreachable, jitter)) as selling:
            selling.sell(1)
            pauses = [selling.forwarder.step() for _ in range(9)]
        assert pauses == [shares * pause_s for pause_s in (0.5, 1, 2, 4, 8, 16, 32, 60, 60)]


def test_a_connection_is_reused_unless_it_was_idle(tmp_path: Path) -> None:
    with till(tmp_path, *[ACCEPTED] * 4) as (selling, server):
        for number in (1, 2, 3):
            selling.sell(number)
            selling.forward()
        assert server.connections == 1
        selling.now_s += till_client.IDLE_LIMIT_S + 1
        selling.sell(4)
        selling.forward()
        assert server.connections == 2


def test_a_backlog_is_sent_in_batches_that_grow_while_they_are_accepted(tmp_path: Path) -> None:
    def accepted(count: int) -> str:
        return f'202 - {{"accepted": {count}, "rejected": []}}'

    with till(tmp_path, DROP, DROP, DROP, accepted(1), accepted(2), accepted(4), accepted(3)) as (selling, server):
        selling.spool.store(receipt(0))
        assert all(selling.forwarder.step() > 0 for _ in range(3))
        selling.forwarder._size = 1
        selling.sell(*range(1, 10))
        assert selling.forward() == []
    assert sent(server)[3:] == [[0], [1, 2], [3, 4, 5, 6], [7, 8, 9]]
    assert (server.requests[-1].path, server.requests[-1].headers["content-type"]) == (
        "/receipts",
        "application/x-ndjson",
    )


# -- rejected receipts


@pytest.mark.parametrize("status", till_client.REJECTION_STATUSES)
def test_a_rejected_receipt_is_kept_with_the_answer_and_the_next_one_is_sent(tmp_path: Path, status: int) -> None:
    with till(tmp_path, ACCEPTED, f"{status} - {REFUSED}", ACCEPTED) as (selling, server):
        selling.forwarder._size = 1
        for number in (1, 2, 3):
            selling.sell(number)
            assert selling.forward() == []
    assert sent(server) == [[1], [2], [3]]
    assert selling.refused() == [{"status": status, "errors": ERRORS, "receipt": receipt(2)}]


def test_rejected_indexes_of_a_batch_are_mapped_to_receipts(tmp_path: Path) -> None:
    answer = {"accepted": 2, "rejected": [{"index": 1, "errors": ERRORS}, {"index": 3, "errors": ERRORS}]}
    with till(tmp_path, f"202 - {json.dumps(answer)}") as (selling, _):
        selling.sell(1, 2, 3, 4)
        assert selling.forward() == []
    assert [each["receipt"]["cashReceiptID"] for each in selling.refused()] == [2, 4]


@pytest.mark.parametrize(
    "answer",
    [
        '{"accepted": 1, "rejected": []}',
        '{"accepted": 2, "rejected": [{"index": 5, "errors": [{}]}]}',
        '{"accepted": 1, "rejected": [{"index": 0, "errors": [{}]}, {"index": 0, "errors": [{}]}]}',
        '{"accepted": "3", "rejected": []}',
        '{"accepted": 3}',
        "[]",
        "{}",
    ],
)
def test_given_an_inconsistent_answer_then_the_batch_is_retried(tmp_path: Path, answer: str) -> None:
    with till(tmp_path, f"202 - {answer}", '202 - {"accepted": 3, "rejected": []}') as (selling, server):
        selling.sell(1, 2, 3)
        assert selling.forwarder.step() > 0
        assert selling.spool.waiting() == 3
        selling.forwarder._size = 3
        assert selling.forward() == []
    assert sent(server) == [[1, 2, 3]] * 2


def test_given_a_rejected_batch_then_its_receipts_are_sent_one_by_one(tmp_path: Path) -> None:
    too_large = '413 - {"errors": [{"path": "$", "error": "the body has more than 10 bytes", "hint": ""}]}'
    with till(tmp_path, too_large, ACCEPTED, too_large, ACCEPTED, too_large, too_large) as (selling, server):
        selling.sell(1, 2, 3)
        assert selling.forward() == []
    assert sent(server) == [[1, 2, 3], [1], [2, 3], [2], [3]]
    assert [each["receipt"]["cashReceiptID"] for each in selling.refused()] == [3]


# -- the spool


def test_a_receipt_may_have_decimals_and_dates_or_be_bytes_with_exact_digits(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        spool.store({"total": Decimal("2.60"), "date": datetime(2026, 11, 23, 8, 15, 42)})
        spool.store(b'\xef\xbb\xbf{"total": 3.3600000000000003,\r\n "note": "\xc3\xa9\xe2\x80\xa8"}\n')
        assert [body for _, body in spool.first(9)] == [
            b'{"total":"2.60","date":"2026-11-23 08:15:42"}',
            b'{"total": 3.3600000000000003,   "note": "\xc3\xa9\xe2\x80\xa8"}',
        ]
        for wrong in (b"[1]", b'{"a": ', b'{"a": "\xe9"}', {"total": float("nan")}):
            with pytest.raises(ValueError, match=r"\w"):
                spool.store(wrong)
        assert spool.waiting() == 2


def fill(spool: Spool, count: int) -> None:
    for _ in range(count):
        spool.store({"filling": "x" * 1_000})


def test_a_full_spool_raises_and_accepts_receipts_again_once_it_has_space(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool", limit_bytes=200_000)) as spool:
        with pytest.raises(SpoolFull, match="200000"):
            fill(spool, 1_000)
        stored = spool.waiting()
        assert stored > 100
        assert (spool.folder / "spool.sqlite3").stat().st_size <= 200_000
        spool.delete_through(stored // 2)
        fill(spool, stored // 2 - 5)


def test_rejected_receipts_have_a_limit_too(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool", limit_bytes=50_000)) as spool:
        spool.append_refused(b'{"a": "%b"}' % (b"x" * 50_000), 422, ERRORS)
        with pytest.raises(SpoolFull, match=r"refused\.ndjson"):
            spool.store({"a": 1})
        spool.refused.unlink()
        spool.store({"a": 1})


def test_the_size_of_a_batch_is_limited(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        for number in range(4):
            spool.store({"number": number, "filling": "x" * 100_000})
        assert [len(spool.first(500)), len(spool.first(1))] == [2, 1]
        spool.store({"filling": "x" * 1_000_000})
        spool.delete_through(4)
        assert len(spool.first(500)) == 1


def test_a_second_forwarder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    with closing(Till(tmp_path / "spool", unreachable)) as first:
        with pytest.raises(SpoolInUse, match=re.escape(str(tmp_path / "spool"))):
            Till(tmp_path / "spool", unreachable)
        code, output = run_command("run", "--spool", tmp_path / "spool", "--to", unreachable, program=CLIENT)
        assert (code, output.count("\n"), f"{tmp_path}/spool" in output) == (2, 1, True), output
        first.sell(1)
    with closing(Till(tmp_path / "spool", unreachable)) as second:
        assert second.spool.waiting() == 1


def test_an_unusable_folder_and_a_wrong_address_are_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=re.escape(str(tmp_path / "file"))):
        Spool(tmp_path / "file")
    with closing(Spool(tmp_path / "spool")) as spool, pytest.raises(ValueError, match=r"127\.0\.0\.1:3000"):
        Forwarder(spool, "127.0.0.1:3000")


def test_given_a_power_cut_while_a_receipt_is_stored_then_all_earlier_receipts_remain(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        for number in (1, 2):
            spool.store(receipt(number))
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite3", isolation_level=None)) as interrupted:
        # SQLite writes pages that exceed its cache before the commit. A power cut may leave them in the file.
        interrupted.execute("PRAGMA cache_size=1")
        interrupted.execute("BEGIN")
        interrupted.execute("INSERT INTO receipts (body) VALUES (?)", (b"x" * 1_000_000,))
        interrupted.execute("UPDATE receipts SET body = 'torn' WHERE id < 3")
        interrupted.execute("INSERT INTO receipts (body) VALUES (?)", (b"x" * 1_000_000,))
        shutil.copytree(tmp_path / "spool", tmp_path / "after")
        interrupted.execute("ROLLBACK")
    assert (tmp_path / "after" / "spool.sqlite3").stat().st_size > 1_000_000
    with scripted_ingest(ACCEPTED, ACCEPTED) as server, closing(Till(tmp_path / "after", server.url)) as restarted:
        assert [json.loads(body) for _, body in restarted.spool.first(9)] == [receipt(1), receipt(2)]
        for _ in (1, 2):
            restarted.forwarder._size = 1
            assert restarted.forwarder.step() == 0
        assert sent(server) == [[1], [2]]


STORING = """
import sys
from examples.till_client import Spool
spool = Spool(sys.argv[1])
for number in range(3):
    spool.store({"cashReceiptID": number})
    sys.stdout.write("stored\\n")
    sys.stdout.flush()
"""


def test_a_receipt_counts_as_stored_only_after_it_is_synced_to_disk(tmp_path: Path) -> None:
    require_program("strace")
    calls = "trace=write,pwrite64,unlink,fsync,fdatasync"
    strace = ("strace", "-f", "-y", "-s", "16", "-e", calls, "-o", tmp_path / "trace", sys.executable, "-c", STORING)
    code, output = run_command(tmp_path / "spool", program=strace, cwd=ROOT)
    assert (code, output) == (0, "stored\n" * 3)
    unsynced: set[str] = set()
    stored = 0
    for line in (tmp_path / "trace").read_text().splitlines():
        if found := re.search(r"pwrite64\(\d+<(.*?)>", line):
            unsynced.add(found[1])
        elif found := re.search(r'unlink\("(.*)-journal"', line):
            unsynced.discard(f"{found[1]}-journal")
            unsynced.add(str(Path(found[1]).parent))
        elif found := re.search(r"f(?:data)?sync\(\d+<(.*?)>\) += 0", line):
            unsynced.discard(found[1])
        elif "write(1<" in line and '"stored' in line:
            stored += 1
            assert not unsynced
    assert stored == 3


def test_an_incomplete_line_of_a_rejected_receipt_does_not_damage_others(tmp_path: Path) -> None:
    with till(tmp_path, f"422 - {REFUSED}", f"422 - {REFUSED}") as (selling, _):
        selling.sell(1)
        selling.forward()
        line = selling.spool.refused.read_bytes()
        selling.spool.refused.write_bytes(line + line[: len(line) // 2])
        selling.sell(2)
        selling.forward()
        lines = selling.spool.refused.read_bytes().splitlines()
    assert [json.loads(lines[index])["receipt"]["cashReceiptID"] for index in (0, 2)] == [1, 2]


def test_given_a_spool_that_cannot_be_written_then_the_receipt_is_sent_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SpoolError("could not delete receipts: the disk is full")

    with till(tmp_path, ACCEPTED, ACCEPTED) as (selling, server):
        selling.sell(1)
        with monkeypatch.context() as broken:
            broken.setattr(selling.spool, "delete_through", fail)
            assert selling.forwarder.step() > 0
        assert selling.forward() == []
    assert sent(server) == [[1], [1]]


# -- the real server


def test_the_real_server_rejects_only_the_invalid_receipts_of_a_backlog(tmp_path: Path) -> None:
    wrong = receipt(2) | {"documentTotal": {"grossTotal": "two"}}
    with (
        running_tillstream(tmp_path / "data", "--receipt-limit-bytes", 2_000) as server,
        closing(Till(tmp_path / "spool", server.ingest)) as selling,
    ):
        selling.sell(1)
        selling.spool.store(wrong)
        selling.spool.store(receipt(3) | {"note": "x" * 3_000})
        selling.sell(4)
        assert selling.forward() == []
        selling.spool.store(wrong)
        selling.spool.store(wrong)
        assert selling.forward() == []
        selling.spool.store(wrong)
        assert selling.forward() == []
        selling.spool.store(receipt(3) | {"note": "x" * 3_000})
        assert selling.forward() == []
        server.wait_for_receipts(2, DAY)
        rows = server.get(f"/api/v1/receipts?day={DAY}").json()["receipts"]
        assert {row["receipt"] for row in rows} == {"1", "4"}
    assert [(each["status"], each["receipt"]["cashReceiptID"]) for each in selling.refused()] == [
        (202, 2),
        (202, 3),
        (422, 2),
        (422, 2),
        (422, 2),
        (413, 3),
    ]
    assert selling.refused()[0]["errors"][0]["path"] == "$.documentTotal.grossTotal"


def test_the_command_stores_sends_and_reports(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"cashReceiptID": "9"}')
    (tmp_path / "none.json").write_text("[]")
    example = ROOT / "examples" / "receipt.json"
    unreachable = f"http://127.0.0.1:{free_port()}"
    spool = ("--spool", tmp_path / "spool")
    code, output = run_command("send", example, *spool, "--to", unreachable, program=CLIENT)
    assert (code, integers_in(output.splitlines()[-1])) == (0, [1, 4711, 0]), output
    with running_tillstream(tmp_path / "data") as server:
        address = server.ingest
        code, output = run_command("send", example, tmp_path / "wrong.json", *spool, "--to", address, program=CLIENT)
        assert (code, "202" in output, integers_in(output.splitlines()[-1])[0]) == (1, True, 0), output
        server.wait_for_receipts(1, "2026-11-23")
        server.wait_for_quarantine(1)
        assert run_check(tmp_path / "data") == (3, 1, 1, 0, 1)
    code, output = run_command("status", *spool, program=CLIENT)
    assert (code, integers_in(output)[0]) == (0, 0)
    code, output = run_command("send", tmp_path / "none.json", *spool, program=CLIENT)
    assert (code, output.count("\n")) == (2, 1), output


def test_one_program_may_store_while_another_forwards(tmp_path: Path) -> None:
    example, spool = ROOT / "examples" / "receipt.json", ("--spool", tmp_path / "spool")
    with running_tillstream(tmp_path / "data") as server:
        to = ("--to", server.ingest)
        with running_command("run", *spool, *to, program=CLIENT) as forwarding:
            wait_until(lambda: is_locked(tmp_path / "spool"), "the forwarder runs")
            code, output = run_command("send", example, *spool, *to, program=CLIENT)
            assert code == 0, output
            server.wait_for_receipts(1, "2026-11-23")
            assert forwarding.stop(signal.SIGINT) == 130
            assert "Traceback" not in forwarding.output
    with closing(Spool(tmp_path / "spool")) as spool_after:
        assert spool_after.waiting() == 0


def is_locked(folder: Path) -> bool:
    with closing(Spool(folder)) as spool:
        try:
            spool.lock().close()
        except SpoolInUse:
            return True
    return False


def last_stored(command: Command, default: int) -> int:
    """The number of the last receipt that the till has printed as stored."""
    stored = [
        line for line in command.output.splitlines(keepends=True) if line.startswith("stored ") and line[-1] == "\n"
    ]
    return int(stored[-1].split()[1]) if stored else default


def test_given_a_till_and_a_server_that_are_killed_repeatedly_then_every_receipt_counts_once(tmp_path: Path) -> None:
    jitter = random.Random(20261124)
    ingest_port, dashboard_port = free_port(), free_port()
    url, spool, data = f"http://127.0.0.1:{ingest_port}", tmp_path / "spool", tmp_path / "data"
    options = ("--ingest-port", ingest_port, "--dashboard-port", dashboard_port)
    last = 0

    def run_till(action: Callable[[], object] = lambda: None) -> None:
        """Run a till that continues with its spool, call `action`, and kill the till at a random moment."""
        nonlocal last
        with running_command(spool, url, last + 1, 10**6, program=TILL, cwd=ROOT) as process:
            process.wait_for_output(rf"^stored {last + jitter.randrange(1, 80)}$")
            action()
            process.process.send_signal(signal.SIGKILL)
            process.wait()
            last = last_stored(process, last)

    run_till()
    with running_tillstream(data, *options) as first:
        for _ in range(3):
            run_till()
        run_till(lambda: first.command.child("ingest").kill())
        run_till(first.stop)
    for _ in range(2):
        run_till()
    with running_tillstream(data, *options) as second:
        run_till()
        count = last + 20
        with running_command(spool, url, last + 1, count, program=TILL, cwd=ROOT) as healthy:
            assert healthy.wait(30) == 0, healthy.output
        summary = second.wait_for_receipts(count, DAY)
        revenue = sum(cents(number) for number in range(1, count + 1))
        assert (summary["revenue"], summary["conflicts"]) == (euros(revenue), 0)
        # After a power cut between the 202 and its deletion, the till repeats its last request.
        with closing(Till(spool, url)) as restarted:
            restarted.sell(*range(count - 20, count + 1))
            assert restarted.forward() == []
        wait_until(lambda: second.summary()["duplicates"] >= 21, "the duplicates are counted")  # type: ignore[operator]
        assert second.summary(DAY)["receipts"] == count
        assert not (spool / "refused.ndjson").exists()
        assert second.stop() == 0
    counted = run_check(data)
    assert (counted.receipts, counted.conflicts) == (count, 0)
