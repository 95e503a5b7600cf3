"""The responses of `/receipt` and `/receipts` over a real socket, and the records that the log has afterwards."""

from __future__ import annotations

import json
import re
import resource
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.ingest import GatedLog, Ingest, Start
from tests.support.ingest import JSON, NDJSON, RECEIVED_US, Answer, encoded, receipt
from tests.support.square_orders import SPLIT
from tests.support.square_orders import encoded as orders
from tests.support.square_orders import order as square_order
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.formats.poslog.decoder import PoslogDecoder
from tillstream.formats.xml import XmlDecoder
from tillstream.ingest.decoding import INLINE_BYTES
from tillstream.receipt.model import receipt_key
from tillstream.receipt.validation import Validator

BOM = b"\xef\xbb\xbf"


def first_error(answer: Answer) -> str:
    return str(answer.json["errors"][0]["error"])


def test_one_receipt_is_in_the_log_once_it_is_accepted(ingest: Ingest) -> None:
    body = encoded("17")
    answer = ingest.post("/receipt", body)
    key = receipt_key("S-1", "1", "17", "2026-11-23 10:15:00")
    assert answer.status == 202
    assert answer.headers["content-type"] == JSON
    assert answer.json == {"accepted": 1, "rejected": [], "receiptKey": key, "day": "2026-11-23"}
    (record,) = ingest.records()
    assert (record["kind"], record["key"], record["source"]) == ("receipt", key, "json/http")
    assert record["received_us"] == str(RECEIVED_US)
    assert (record["body"], record["original"]) == (body, b"")


def test_the_same_receipt_twice_is_accepted_twice(ingest: Ingest) -> None:
    answers = [ingest.post("/receipt", encoded()) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    assert len(ingest.records()) == 2


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_a_replay_is_marked_and_not_quarantined_again(ingest: Ingest, path: str) -> None:
    replay = ("tillstream-source", "replay")
    assert ingest.post(path, encoded(), JSON, replay).status == 202
    assert ingest.post(path, encoded(), JSON, ("tillstream-source", "replay/simulated")).status == 202
    refused = ingest.post(path, encoded(date="x"), JSON, replay)
    assert (refused.status, refused.json["errors"][0]["path"][-6:]) == (
        422,
        "$.date" if path == "/receipt" else "].date",
    )
    assert ingest.post(path, b"", JSON, replay).status == 400
    assert [record["source"] for record in ingest.records()] == ["json/replay", "json/replay/simulated"]


def test_the_valid_receipts_of_a_replayed_batch_are_accepted(ingest: Ingest) -> None:
    several = b"[" + encoded(1) + b"," + encoded(2, date="x") + b"]"
    answer = ingest.post("/receipts", several, JSON, ("tillstream-source", "replay"))
    assert (answer.status, answer.json["accepted"], answer.json["rejected"][0]["index"]) == (202, 1, 1)
    assert len(ingest.records()) == 1


def test_a_byte_order_mark_is_removed(ingest: Ingest) -> None:
    assert ingest.post("/receipt", BOM + encoded()).status == 202
    assert ingest.post("/receipts", BOM + b"[" + encoded() + b"]").status == 202
    assert ingest.post("/receipts", BOM + encoded(), NDJSON).status == 202
    assert [record["body"] for record in ingest.records()] == [encoded()] * 3


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/till+json",
    ],
)
def test_json_has_several_media_types(ingest: Ingest, media_type: str) -> None:
    assert ingest.post("/receipt", encoded(), media_type).status == 202


def test_json_needs_no_content_type(ingest: Ingest) -> None:
    assert ingest.request("POST", "/receipt", encoded()).status == 202
    assert ingest.request("POST", "/receipts", b" [" + encoded() + b"]").status == 202
    assert ingest.request("POST", "/receipt", b"%PDF-1.7").status == 415


SQUARE = "application/vnd.square.orders+json"


def test_square_orders_are_accepted_skipped_and_refused_each_with_its_own_bytes(ingest: Ingest) -> None:
    sale, split, still_open, dollars = orders(square_order(), SPLIT, square_order(state="OPEN"), square_order(id="A2"))
    dollars = dollars.replace(b"EUR", b"USD")
    page = b'{"orders": [%b], "cursor": "x"}' % b", ".join([sale, still_open, split, dollars])
    answer = ingest.post("/receipts", page, SQUARE)
    assert (answer.status, answer.json["accepted"], answer.json["skipped"]) == (202, 2, {"OPEN": 1})
    (rejected,) = answer.json["rejected"]
    assert (rejected["index"], [error["path"] for error in rejected["errors"]]) == (3, ["$.currency"])
    assert [(record["kind"], record["source"], record["original"]) for record in ingest.records()] == [
        ("receipt", "square/http", sale),
        ("receipt", "square/http", split),
        ("refusal", "square/http", dollars),
    ]


def test_a_square_order_needs_no_content_type_and_a_wrong_one_is_answered_with_the_right_one(ingest: Ingest) -> None:
    (sale,) = orders(square_order())
    assert ingest.request("POST", "/receipt", sale).status == 202
    for path, media_type in (("/receipt", JSON), ("/receipts", JSON), ("/receipts", NDJSON)):
        answer = ingest.post(path, sale, media_type)
        assert answer.status == 422
        assert answer.json["errors"][-1]["hint"] == f"send it as {SQUARE}"


POSLOG = "application/vnd.nrf-arts.poslog+xml"


@pytest.mark.parametrize("media_type", [POSLOG, "application/xml", "text/xml; charset=utf-8", None])
def test_a_poslog_is_recognised_by_its_type_or_its_content(ingest: Ingest, media_type: str | None) -> None:
    log = PoslogDecoder.example.encode()
    headers = (("content-type", media_type),) if media_type else ()
    assert ingest.request("POST", "/receipt", log, *headers).status == 202
    sign_on = b"<Transaction><ControlTransaction/></Transaction></POSLog>"
    answer = ingest.request("POST", "/receipts", log.replace(b"</POSLog>", sign_on), *headers)
    assert (answer.status, answer.json["accepted"], answer.json["skipped"]) == (202, 1, {"ControlTransaction": 1})
    first, second = ingest.records()
    assert first["original"] == second["original"] == log[log.index(b"<Transaction>") : log.index(b"</POSLog>")].strip()


@pytest.mark.parametrize("media_type", [JSON, NDJSON, SQUARE])
def test_xml_with_another_media_type_is_answered_with_its_own(ingest: Ingest, media_type: str) -> None:
    for decoder, likely in ((XmlDecoder, "application/xml"), (PoslogDecoder, POSLOG)):
        answer = ingest.post("/receipts", decoder.example.encode(), media_type)
        assert answer.status in (400, 422)
        assert answer.json["errors"][-1]["hint"] == f"send it as {likely}"


def test_the_valid_receipts_of_an_xml_document_are_accepted(ingest: Ingest) -> None:
    whole = XmlDecoder.example.encode()
    answer = ingest.post("/receipts", whole.replace(b"</receipts>", b"<receipt><a></receipt></receipts>"), "text/xml")
    assert (answer.status, answer.json["accepted"]) == (202, 1)
    assert answer.json["rejected"][0]["errors"][0]["error"].startswith("it is not well-formed: mismatched tag")
    assert [record["kind"] for record in ingest.records()] == ["receipt", "refusal"]


@pytest.mark.parametrize("media_type", ["text/x-xml", "application/json; charset=utf-16", "application/x-unknown+yaml"])
def test_an_unknown_media_type_is_answered_with_the_known_ones(ingest: Ingest, media_type: str) -> None:
    answer = ingest.post("/receipt", encoded(), media_type)
    assert answer.status == 415
    assert "application/json" in answer.json["errors"][0]["hint"]
    assert "application/x-ndjson" in answer.headers["accept-post"]


def test_an_unknown_content_encoding_is_refused(ingest: Ingest) -> None:
    assert ingest.post("/receipt", encoded(), JSON, ("content-encoding", "br")).status == 415
    assert ingest.post("/receipt", encoded(), JSON, ("content-encoding", "Identity")).status == 202


def test_content_that_cannot_be_parsed_is_answered_400_and_quarantined(ingest: Ingest) -> None:
    answer = ingest.post("/receipt", b'{"storeID": ')
    assert answer.status == 400
    assert "not JSON" in first_error(answer)
    (record,) = ingest.records()
    assert (record["kind"], record["body"], record["original"]) == ("refusal", b"", b'{"storeID": ')
    assert json.loads(record["notes"]) == answer.json["errors"]
    assert record["day"] == "2026-11-23"


def test_an_invalid_receipt_is_answered_422_with_every_fault_and_quarantined(ingest: Ingest) -> None:
    body = encoded(lines=[{}, {}, {"settlementAmount": "abc"}], storeID=True)
    answer = ingest.post("/receipt", body)
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"path": "$.storeID", "error": "expected a text or an integer, got true", "hint": ""},
        {"path": "$.lines[2].settlementAmount", "error": 'expected a number, got "abc"', "hint": ""},
    ]
    (record,) = ingest.records()
    assert record["original"] == body
    assert json.loads(record["notes"]) == answer.json["errors"]


def test_a_refused_receipt_is_quarantined_up_to_the_size_limit(start: Start) -> None:
    ingest = start(receipt_limit_bytes=500)
    body = encoded(extra="x" * 1_000)
    assert ingest.post("/receipt", body).status == 413
    assert ingest.post("/receipts", b"[%b]" % body).status == 422
    (record,) = ingest.records()
    assert record["original"] == body[:500]
    assert f"the first 500 of {len(body)} bytes are kept" in record["notes"]


def test_nesting_of_ten_thousand_levels_is_answered_400(ingest: Ingest) -> None:
    answer = ingest.post("/receipt", b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}")
    assert answer.status == 400
    assert "nested too deeply" in first_error(answer)


def test_an_array_sent_to_receipt_is_referred_to_receipts(ingest: Ingest) -> None:
    answer = ingest.post("/receipt", b"[" + encoded() + b"]")
    assert answer.status == 422
    assert "/receipts" in answer.json["errors"][0]["hint"]
    answer = ingest.post("/receipt", encoded(1) + b"\n" + encoded(2), NDJSON)
    assert answer.status == 422
    assert "/receipts" in answer.json["errors"][0]["hint"]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[" + encoded(1) + b" , \n" + encoded(2) + b"]", JSON),
        (encoded(1) + b"\r\n\r\n" + encoded(2) + b"\n", NDJSON),
        (encoded(1) + b"\n" + encoded(2), "application/jsonl"),
    ],
)
def test_the_receipts_of_a_batch_are_stored_with_the_bytes_that_were_sent(
    ingest: Ingest, body: bytes, media_type: str
) -> None:
    answer = ingest.post("/receipts", body, media_type)
    assert (answer.status, answer.json) == (202, {"accepted": 2, "rejected": []})
    assert [record["body"] for record in ingest.records()] == [encoded(1), encoded(2)]


def test_a_single_object_may_be_sent_to_receipts(ingest: Ingest) -> None:
    assert ingest.post("/receipts", encoded()).json == {"accepted": 1, "rejected": []}


def test_the_valid_receipts_of_a_batch_are_accepted_and_the_others_listed(ingest: Ingest) -> None:
    lines = [encoded(1), b"{bad", encoded(2), encoded(3, storeID=None), b"7"]
    answer = ingest.post("/receipts", b"\n".join(lines), NDJSON)
    assert answer.status == 202
    assert answer.json["accepted"] == 2
    assert [entry["index"] for entry in answer.json["rejected"]] == [1, 3, 4]
    assert answer.json["rejected"][1]["errors"][0]["path"] == "$.storeID"
    records = ingest.records()
    assert [record["kind"] for record in records] == ["receipt", "refusal", "receipt", "refusal", "refusal"]
    assert [record["original"] for record in records] == [b"", lines[1], b"", lines[3], lines[4]]


def test_a_batch_without_a_valid_receipt_is_answered_422(ingest: Ingest) -> None:
    answer = ingest.post("/receipts", b"[" + encoded(storeID=None) + b",7]")
    assert answer.status == 422
    assert answer.json["accepted"] == 0
    assert [error["path"] for error in answer.json["errors"]] == ["$[0].storeID", "$[1]"]
    assert len(ingest.records()) == 2


def test_a_batch_that_cannot_be_parsed_is_answered_400_and_quarantined_as_a_whole(ingest: Ingest) -> None:
    body = b"[" + encoded() + b", {]"
    answer = ingest.post("/receipts", body)
    assert answer.status == 400
    assert "not a JSON array" in first_error(answer)
    assert [record["original"] for record in ingest.records()] == [body]


@pytest.mark.parametrize(("body", "status"), [(b"[]", 422), (b"", 400), (b" \n", 400)])
def test_an_empty_batch_is_refused(ingest: Ingest, body: bytes, status: int) -> None:
    assert ingest.post("/receipts", body, NDJSON if not body.strip() else JSON).status == status


def test_too_many_receipts_in_a_request_are_answered_413_and_none_is_stored(start: Start) -> None:
    ingest = start(batch_limit_receipts=3)
    lines = [encoded(number) for number in range(4)]
    assert ingest.post("/receipts", b"\n".join(lines), NDJSON).status == 413
    assert ingest.records() == []
    assert ingest.post("/receipts", b"\n".join(lines[:3]), NDJSON).json["accepted"] == 3


def test_simulated_receipts_are_marked(ingest: Ingest) -> None:
    ingest.post("/receipt", encoded(), JSON, ("Tillstream-Source", "simulated"))
    ingest.post("/receipts", encoded(), NDJSON, ("tillstream-source", "simulated"))
    ingest.post("/receipt", encoded(), JSON, ("tillstream-source", "rubbish\t"))
    assert [record["source"] for record in ingest.records()] == ["json/http/simulated"] * 2 + ["json/http"]


def test_a_truncated_body_is_answered_400_and_quarantined(ingest: Ingest) -> None:
    connection = ingest.connect()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
    connection.socket.shutdown(socket.SHUT_WR)
    answer = connection.answer()
    assert answer.status == 400
    assert "broke off" in first_error(answer)
    assert ingest.records()[0]["kind"] == "refusal"


def gated(tmp_path: Path) -> GatedLog:
    (tmp_path / "data").mkdir(exist_ok=True)
    return GatedLog(tmp_path / "data" / "log.sqlite3", Settings())


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (LogFull("append to", "it", "full"), "the log is full"),
        (LogUnavailable("append to", "it", "gone"), "accepts no records"),
    ],
)
def test_while_the_log_accepts_nothing_requests_are_answered_503(
    start: Start, tmp_path: Path, failure: Exception, reason: str
) -> None:
    log = gated(tmp_path)
    ingest = start(log=log)
    log.failure = failure
    for path, body in [("/receipt", encoded()), ("/receipts", encoded()), ("/receipt", b"{")]:
        answer = ingest.post(path, body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert reason in first_error(answer)
    not_ready = ingest.request("GET", "/health/ready")
    assert not_ready.status == 503
    assert reason in not_ready.json["reason"]
    assert ingest.request("GET", "/health/live").status == 200
    log.failure = None
    assert ingest.post("/receipt", encoded()).status == 202
    assert ingest.request("GET", "/health/ready").status == 200
    assert len(ingest.records()) == 1


def test_receipts_beyond_the_memory_budget_are_answered_503(start: Start, tmp_path: Path) -> None:
    log = gated(tmp_path)
    ingest = start(log=log, pending_limit_bytes=3_000)
    log.gate.clear()
    connections = [ingest.connect() for _ in range(30)]
    for number, connection in enumerate(connections):
        body = encoded(number)
        connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    pattern = re.compile(rb'tillstream_requests_total\{status="503"\} (\d+)')

    def refused() -> int:
        found = pattern.search(ingest.request("GET", "/metrics").body)
        return int(found[1]) if found else 0

    wait_until(refused, "some are refused")
    log.gate.set()
    statuses = [connection.answer().status for connection in connections]
    assert set(statuses) == {202, 503}
    assert len(ingest.records()) == statuses.count(202)
    assert ingest.post("/receipt", encoded(99)).status == 202


def test_the_body_is_never_in_the_program_log(ingest: Ingest, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.post("/receipt", encoded(customerID="secret-customer", storeID=None))
    ingest.post("/receipt", json.dumps(receipt(agentID="secret-customer")).encode()[:-1])
    said = capsys.readouterr()
    assert "secret-customer" not in said.out + said.err


def test_a_store_over_its_rate_limit_is_answered_429_and_nothing_is_stored(start: Start) -> None:
    ingest = start(store_limit_receipts_per_s=2)
    connection = ingest.connect()
    answers = [connection.request("POST", "/receipt", encoded(number)) for number in range(5)]
    assert [answer.status for answer in answers] == [202, 202, 202, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "store S-1 sends more than 2 receipts a second" in first_error(answers[-1])
    other = encoded(9, storeID="S-2")
    assert ingest.post("/receipts", b"\n".join([other, encoded(6)]), NDJSON).status == 429
    assert ingest.post("/receipts", b"\n".join([other, b"{"]), NDJSON).json["accepted"] == 1
    assert len(ingest.records()) == 5


def test_a_batch_of_millions_of_invalid_records_is_refused_with_little_memory(start: Start) -> None:
    ingest = start(batch_limit_receipts=1_000)
    body = b"[" + b"0," * 4_000_000 + b"0]"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ingest.post("/receipts", body).status == 413
    assert ingest.post("/receipts", b"\n" * 8_000_000 + b"0\n" * 2_000, NDJSON).status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert ingest.records() == []


def test_a_table_is_split_into_receipts_with_their_rows(ingest: Ingest) -> None:
    header = "storeID;cashReceiptID;date;grossTotal;lines.quantity\n"
    rows = [f"12;{number};2026-11-23 10:15:00;2,40;{quantity}\n" for number in (1, 2, 3) for quantity in (1, 2)]
    rows[3] = rows[3].replace(";2\n", "\n")
    answer = ingest.post("/receipts", (header + "".join(rows)).encode(), "text/csv; charset=utf-8")
    assert answer.json["accepted"] == 2
    assert [each["index"] for each in answer.json["rejected"]] == [1]
    assert "line 5 has 4 cells" in answer.json["rejected"][0]["errors"][0]["error"]
    records = ingest.records()
    assert [record["original"].decode() for record in records] == [
        header + "".join(rows[at : at + 2]) for at in (0, 2, 4)
    ]
    assert {record["source"] for record in records} == {"csv/http"}
    alone = ingest.post("/receipt", records[0]["original"], "text/csv")
    assert alone.json["receiptKey"] == records[0]["key"]
    untyped = ingest.request("POST", "/receipt", records[0]["original"])
    assert untyped.json["receiptKey"] == records[0]["key"]
    advised = ingest.post("/receipts", records[0]["original"], NDJSON)
    assert any("it looks like CSV" in error["error"] for error in advised.json["errors"])


def test_a_large_receipt_is_validated_in_the_worker_thread(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    check = Validator.check

    def recorded(self: Validator, *arguments: Any) -> tuple[bytes, str, str]:
        threads.append(threading.current_thread().name)
        return check(self, *arguments)

    monkeypatch.setattr(Validator, "check", recorded)
    ingest = start()
    assert ingest.post("/receipt", encoded(1, note="x" * INLINE_BYTES)).status == 202
    assert ingest.post("/receipt", encoded(2)).status == 202
    assert [name.startswith("decode") for name in threads] == [True, False]
