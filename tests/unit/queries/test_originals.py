"""Originals: redacted text in any format, and the differences between two versions."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_harness import PipelineHarness, pipeline_harness
from tests.support.encoders import to_csv, to_form, to_xml
from tests.support.receipts import body
from tests.support.square_orders import order
from tillstream.formats.csv.decoder import CsvDecoder
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.formats.poslog.decoder import PoslogDecoder
from tillstream.log.base import pack_record_id
from tillstream.queries.originals import Originals, differences


def test_given_a_receipt_when_its_original_is_read_then_personal_data_is_redacted(pipeline: Pipeline) -> None:
    pipeline.append_bytes(body(), b'{"agentID" : "Ann",\n"documentTotal": {"grossTotal": 1}}')
    pipeline.drain()
    [row] = pipeline.database.query("SELECT place FROM receipts")
    assert Originals(pipeline.log).text(row["place"]) == '{"agentID" : "•••",\n"documentTotal": {"grossTotal": 1}}'


def test_given_a_refusal_when_its_original_is_read_then_it_is_the_refused_body(pipeline: Pipeline) -> None:
    pipeline.refuse(b"no receipt \xff", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    [row] = pipeline.database.query("SELECT place FROM quarantine")
    assert Originals(pipeline.log).text(row["place"]) == "no receipt \ufffd"


def test_given_a_record_that_the_log_does_not_have_when_read_then_there_is_no_original(pipeline: Pipeline) -> None:
    assert Originals(pipeline.log).text(pack_record_id(0, 7, 0)) is None


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_given_a_refusal_in_another_charset_when_read_then_personal_data_is_redacted(
    pipeline: Pipeline, charset: str
) -> None:
    pipeline.refuse("<receipt><agentID>Ann</agentID><storeID>7</storeID></receipt>".encode(charset), [])
    pipeline.drain()
    [row] = pipeline.database.query("SELECT place FROM quarantine")
    shown = Originals(pipeline.log).text(row["place"])
    assert shown is not None
    assert shown.lstrip("\ufeff") == "<receipt><agentID>•••</agentID><storeID>7</storeID></receipt>"


def test_given_a_format_of_another_package_when_read_then_its_personal_fields_are_redacted(
    pipeline: Pipeline,
) -> None:
    class Cards(CsvDecoder):
        name = "cards"
        personal = ("badge",)

    originals = Originals(pipeline.log, [CsvDecoder, Cards])
    pipeline.append(body(cashReceiptID="1", badge="Ann", customerID="Bob"), source="cards/http")
    pipeline.append(body(cashReceiptID="2", badge="Ann", customerID="Bob"), source="csv/http")
    pipeline.append(body(cashReceiptID="3", badge="Ann", customerID="Bob"), source="unknown/gateway")
    pipeline.drain()
    texts = [
        originals.text(row["place"]) for row in pipeline.database.query("SELECT place FROM receipts ORDER BY receipt")
    ]
    shown = [["Ann" in (text or ""), "Bob" in (text or "")] for text in texts]
    assert shown == [[False, True], [True, False], [False, False]]


PERSONS = {"customerID": "Ann Secret", "agentID": "Bob Secret"}
RECEIPT = body(**PERSONS)
POSLOG = PoslogDecoder.example.replace(
    "<RetailTransaction>",
    '<OperatorID OperatorName="Bob Secret">Secret-94</OperatorID><RetailTransaction>'
    "<LineItem><Customer><CustomerID>Secret-7</CustomerID><Name>Ann Secret</Name></Customer></LineItem>"
    '<LineItem><x:LoyaltyMembership xmlns:x="urn:x"><x:LoyaltyID Type="Secret">Secret-8</x:LoyaltyID>'
    "</x:LoyaltyMembership></LineItem>",
)
SQUARE = order(
    customer_id="Ann Secret",
    ticket_name="Secret's table",
    fulfillments=[{"pickup_details": {"recipient": {"display_name": "Ann Secret", "phone_number": "Secret 1"}}}],
    tenders=[
        {
            "id": "T1",
            "type": "CARD",
            "customer_id": "Ann Secret",
            "amount_money": {"amount": 120, "currency": "EUR"},
            "card_details": {"card": {"last_4": "Secret", "cardholder_name": "SECRET/ANN"}},
        }
    ],
)
POSTED: dict[str, tuple[str, bytes]] = {
    "JSON": ("application/json", json.dumps(RECEIPT).encode()),
    "NDJSON": ("application/x-ndjson", json.dumps(RECEIPT).encode() + b"\n"),
    "records": (
        "application/vnd.tillstream.records+ndjson",
        json.dumps({"source": "mine/gateway", "receipt": RECEIPT}).encode(),
    ),
    "CSV": ("text/csv", to_csv([RECEIPT], ";")),
    "form": ("application/x-www-form-urlencoded", to_form(RECEIPT)),
    "XML": ("application/xml", to_xml(RECEIPT)),
    "POSLog": ("application/vnd.nrf-arts.poslog+xml", POSLOG.encode()),
    "POSLog as XML": ("application/xml", POSLOG.encode()),
    "Square": ("application/vnd.square.orders+json", json.dumps({"order": SQUARE}).encode()),
}
every_format = pytest.mark.parametrize("name", POSTED)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHarness]:
    with pipeline_harness(tmp_path_factory.mktemp("road")) as running:
        yield running


@every_format
def test_given_a_receipt_in_any_format_when_shown_then_personal_data_is_redacted(tmp_path: Path, name: str) -> None:
    media_type, payload = POSTED[name]
    assert b"ecret" in payload.replace(b"SECRET", b"Secret")
    with pipeline_harness(tmp_path) as running:
        answer = running.post("/receipt", payload, media_type)
        assert answer.status == 202, answer.body
        receipt = running.queries.receipt(answer.json["receiptKey"])
    assert receipt is not None
    assert "secret" not in json.dumps(receipt).casefold()
    assert "•••" in receipt["original"]
    assert "aguette" in receipt["original"]


def posted(running: PipelineHarness, payload: bytes, media_type: str) -> str:
    """Everything that the API shows of a refused payload."""
    before = {entry["id"] for entry in running.queries.quarantine({"limit": "100"})["entries"]}
    answer = running.post("/receipts", payload, media_type)
    assert answer.status in (400, 422), answer.body
    ids = [
        entry["id"] for entry in running.queries.quarantine({"limit": "100"})["entries"] if entry["id"] not in before
    ]
    assert ids
    return json.dumps([running.queries.quarantined(each) for each in ids], ensure_ascii=False)


@every_format
@pytest.mark.parametrize("sent_as", POSTED)
def test_given_a_receipt_that_is_refused_or_sent_as_another_format_when_shown_then_personal_data_is_redacted(
    embedded: PipelineHarness, name: str, sent_as: str
) -> None:
    payload = POSTED[name][1].replace(b"2026-11-23", b"2026-99-99").replace(b"COMPLETED", b"FORGOTTEN")
    shown = posted(embedded, payload, POSTED[sent_as][0])
    assert "secret" not in shown.casefold()
    assert "•••" in shown


@every_format
@pytest.mark.parametrize("part", [0.9, 0.6])
def test_given_a_truncated_body_when_shown_then_personal_data_is_redacted(
    embedded: PipelineHarness, name: str, part: float
) -> None:
    media_type, payload = POSTED[name]
    truncated = payload[: int(len(payload) * part)].replace(b"2026-11-23", b"2026-99-99")
    assert "secret" not in posted(embedded, truncated, media_type).casefold()


def test_given_a_broken_envelope_when_shown_then_personal_data_is_redacted(
    embedded: PipelineHarness,
) -> None:
    encoded = b64encode(json.dumps(PERSONS).encode()).decode()
    line = json.dumps({"source": "Mine/gateway", "original": encoded, "receipt": RECEIPT}).encode()
    shown = posted(embedded, line, MEDIA_TYPE)
    assert encoded not in shown
    assert "secret" not in shown.casefold()


def differing(first: object, second: object) -> dict[str, tuple[object, object]]:
    rows = differences(json.dumps(first).encode(), json.dumps(second).encode())
    return {row["path"]: (row["first"], row["second"]) for row in rows if row["differs"]}


def test_given_two_versions_when_compared_then_every_difference_is_marked_and_nothing_else() -> None:
    other = body(documentTotal={"grossTotal": 9, "netTotal": 4.64, "taxPayable": 0.36}, settlements=[])
    rows = differences(json.dumps(body()).encode(), json.dumps(other).encode())
    assert {row["path"] for row in rows if row["differs"]} == {
        "$.documentTotal.grossTotal",
        "$.settlements[0].paymentMechanism",
        "$.settlements[0].settlementAmount",
    }
    assert next(row for row in rows if row["path"] == "$.lines[1].productCode") == {
        "path": "$.lines[1].productCode",
        "first": "SAN",
        "second": "SAN",
        "differs": False,
    }


def test_given_equal_amounts_in_another_notation_when_compared_then_nothing_differs() -> None:
    assert differing({"documentTotal": {"grossTotal": "5.00"}}, {"documentTotal": {"grossTotal": 5}}) == {}
    assert (
        differing({"documentTotal": {"grossTotal": 3.3600000000000003}}, {"documentTotal": {"grossTotal": 3.36}}) == {}
    )
    assert differing({"note": 1, "agentID": 7}, {"note": 2, "agentID": "7"}) == {}


def test_given_personal_fields_that_differ_when_compared_then_they_are_redacted() -> None:
    assert differing({"customerID": "Ann"}, {"customerID": "Bob"}) == {"$.customerID": ("•••", "•••")}
    assert differing({"customerID": "Ann"}, {}) == {"$.customerID": ("•••", None)}


def test_given_many_lines_when_compared_then_they_are_in_numeric_order() -> None:
    lines = [{"quantity": number} for number in range(12)]
    paths = [row["path"] for row in differences(json.dumps({"lines": lines}).encode(), b"{}")]
    assert paths == [f"$.lines[{number}].quantity" for number in range(12)]


@pytest.mark.parametrize("came", [b"{", b"\xff", b"[]", b'{"lines": [1, null], "documentTotal": 7}', b"[" * 100_000])
def test_given_an_unreadable_body_when_compared_then_it_has_no_fields(came: bytes) -> None:
    assert all(row["first"] is None for row in differences(came, json.dumps(body()).encode()))


def test_given_a_repeated_name_when_compared_then_the_first_value_counts_as_in_the_engine() -> None:
    [row] = differences(b'{"documentTotal": {"grossTotal": 1, "grossTotal": 2}}', b"{}")
    assert row["first"] == "1"
