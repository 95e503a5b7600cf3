"""Redaction hides personal data in any format, and changes nothing else in text that can be parsed."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import msgspec
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
from tillstream.queries.redaction import MASK, Originals, redact

QUOTED = f'"{MASK}"'


def test_given_a_receipt_when_redacted_then_only_personal_data_is_hidden() -> None:
    text = '{"cashReceiptID": "1", "agentID" : "Ann",\n "customerID":42, "storeID": "7"}'
    assert redact(text) == f'{{"cashReceiptID": "1", "agentID" : {QUOTED},\n "customerID":{QUOTED}, "storeID": "7"}}'


@pytest.mark.parametrize(
    "value", ['"Ann \\" Bob"', "null", "-1.5e3", '{"name": "Ann", "of": ["Bob"]}', '["Ann", "Bob"]', "true"]
)
def test_given_any_json_value_when_redacted_then_the_whole_value_is_hidden(value: str) -> None:
    masked = redact(f'{{"customerID": {value}, "storeID": "7"}}')
    assert json.loads(masked) == {"customerID": "•••", "storeID": "7"}


def test_given_an_escaped_name_or_other_letter_case_when_redacted_then_the_value_is_hidden() -> None:
    masked = redact('{"customer\\u0049D": "Ann", "AGENTID": "Bob"}')
    assert "Ann" not in masked
    assert "Bob" not in masked


def test_given_the_name_as_a_value_or_inside_a_text_when_redacted_then_nothing_changes() -> None:
    text = '{"a": "customerID", "b": "\\"customerID\\": \\"x\\"", "c": ["agentID"], "d": ": ", "e": "f"}'
    assert redact(text) == text
    assert redact(f"{text}\n{text}\n") == f"{text}\n{text}\n"


@pytest.mark.parametrize("rest", ['"Ann', "{'name': 'Ann'}", "Ann", '["Ann", '])
def test_given_text_truncated_in_a_personal_field_when_redacted_then_the_rest_is_hidden(rest: str) -> None:
    assert redact(f'{{"storeID": "7", "customerID": {rest}') == f'{{"storeID": "7", "customerID": {QUOTED}'


def test_given_deep_nesting_in_a_personal_field_when_redacted_then_the_rest_is_hidden() -> None:
    assert redact('{"agentID": ' + "[" * 100_000) == '{"agentID": ' + QUOTED


@pytest.mark.parametrize(
    "text", ["<receipt/>", "", "no receipt", "storeID;date\n7;x", "a=b&c=d", "\0\ufffd", "[[[", "7"]
)
def test_given_text_without_personal_data_when_redacted_then_it_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("<a><agentID>Ann</agentID><b>7</b></a>", "<a><agentID>•••</agentID><b>7</b></a>"),
        ('<a><n:AgentId x="Ann">A<b>n</b>n</n:AgentId ></a>', '<a><n:AgentId x="•••">•••</n:AgentId ></a>'),
        ("<a><agentID><![CDATA[</agentID]]>Ann</agentID></a>", "<a><agentID>•••</agentID></a>"),
        ("<a><agentID/><agentID></agentID><customerID> </customerID></a>",) * 2,
        ("<a><agentID><agentID>Ann</agentID>Ann</agentID>7</a>", "<a><agentID>•••</agentID>7</a>"),
        ("<a b='7' agentID = 'Ann' n:customerid=\"Bob\"/>", '<a b=\'7\' agentID = "•••" n:customerid="•••"/>'),
        ("<a>agentID: Ann</a>",) * 2,
        ("<a><!-- <agentID>Ann</agentID> --></a>", "<a><!-- <agentID>•••</agentID> --></a>"),
        ("<a><agentID>Ann</a>", "<a><agentID>•••"),
        ("<a><agentID>Ann", "<a><agentID>•••"),
        ("<a><agentID Ann", "<a><agentID Ann"),
        ("<!DOCTYPE a><a agentID='Ann", '<!DOCTYPE a><a agentID="•••"'),
    ],
)
def test_given_xml_when_redacted_then_personal_elements_and_attributes_are_hidden(text: str, masked: str) -> None:
    assert redact(text) == masked


HEADER = "storeID;lines.agentID;date;CustomerID"


@pytest.mark.parametrize(
    ("row", "masked"),
    [
        ("7;Ann;x;Bob", "7;•••;x;•••"),
        (" 7 ; Ann;x;", " 7 ;•••;x;"),
        ('"7;7";"A;""nn\nAnn";"x";"Bob"', '"7;7";•••;"x";•••'),
        ('7" tart;Ann;x;Bob', '7" tart;•••;x;•••'),
        ("7;7;Ann;x;Bob", "•••;•••;•••;•••;•••"),
        ("7;x;Bob", "•••;•••;•••"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_given_a_table_when_redacted_then_personal_columns_are_hidden_and_more_in_shifted_rows(
    row: str, masked: str, end: str
) -> None:
    assert redact(f"{HEADER}{end}{row}{end}{row}") == f"{HEADER}{end}{masked}{end}{masked}"


@pytest.mark.parametrize("row", ["7;2;1047;Ann", '"7";"Ann;Ann";"x";"y"', "7\t2\t\tAnn\r\n7\t2\t\tBob"])
def test_given_rows_without_a_header_when_redacted_then_every_cell_is_hidden(row: str) -> None:
    masked = redact(row)
    assert not set("7Ann2x1047Bob") & set(masked)
    assert masked.count(MASK) >= 3


def test_given_a_header_without_personal_fields_when_redacted_then_nothing_changes() -> None:
    text = "storeID;cashReceiptID;date;grossTotal\n7;1;then;1,20\n7;1\n"
    assert redact(text) == text


def test_given_a_format_without_personal_fields_when_redacted_then_nothing_changes() -> None:
    assert redact("7;2;1047;Ann", ()) == "7;2;1047;Ann"


def test_given_a_quote_that_is_not_closed_when_a_table_is_redacted_then_personal_data_is_hidden() -> None:
    masked = redact(f'{HEADER}\n"7;Ann;x;Bob\n8;Ann;x;Bob\n')
    assert "Ann" not in masked
    assert "Bob" not in masked


def test_given_a_form_when_redacted_then_personal_values_are_hidden() -> None:
    text = "storeID=7&agentID=Ann+A&customer%49D=Bob&lines%5B0%5D.agentid=Ann&note=agentID&customerID="
    masked = f"storeID=7&agentID={MASK}&customer%49D={MASK}&lines%5B0%5D.agentid={MASK}&note=agentID&customerID="
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "{'customerID': 'Ann', 'storeID': 7}",
        "customerID: Ann\nstoreID: 7",
        "storeID: 7\n customer-id => (Ann, Ann)",
        "customerID = Ann; storeID = 7",
        '{"a": b, "customerID": "Ann"}',
        '{"customerID": "Ann", "customerID": [1, "Ann"',
        "storeID=7&customerID=Ann A&x",
        "text before <customerID>Ann",
        '<a customerID="Ann',
        "{'customerID': {'of': ['Ann']}}",
        '"{\\"customerID\\": \\"Ann\\"}" and more',
    ],
)
def test_given_text_in_no_format_when_redacted_then_the_value_after_a_personal_name_is_hidden(text: str) -> None:
    assert "Ann" not in redact(text)


def test_given_given_names_when_redacted_then_only_those_fields_are_hidden() -> None:
    assert redact('{"card_details": {"a": 1}, "agentID": "Ann"}', ["card_details"]) == (
        f'{{"card_details": {QUOTED}, "agentID": "Ann"}}'
    )


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("", "<customerID>"),
        ("", "<customerID a='"),
        ("", "customerID:"),
        ("storeID;a;b;customerID\n", '"\n'),
        ("storeID;a;b;customerID\n", ";"),
        ("", '"customerID":'),
        ("", "&customerID="),
        ("", " customerID="),
        ("", "\\"),
        ("", '"'),
        ("", "<"),
    ],
)
def test_given_adversarial_text_when_redacted_then_the_time_is_proportional_to_its_length(head: str, unit: str) -> None:
    def taken_s(size: int) -> float:
        text = head + unit * (size // len(unit))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    # Quadratic time would be 64 times as long.
    assert taken_s(800_000) < 32 * max(taken_s(100_000), 0.01)


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
    assert "secret" not in msgspec.json.encode(receipt).decode().casefold()
    assert receipt.original is not None
    assert "•••" in receipt.original
    assert "aguette" in receipt.original


def posted(running: PipelineHarness, payload: bytes, media_type: str) -> str:
    """Everything that the API shows of a refused payload."""
    before = {entry.id for entry in running.queries.quarantine({"limit": "100"}).entries}
    answer = running.post("/receipts", payload, media_type)
    assert answer.status in (400, 422), answer.body
    ids = [entry.id for entry in running.queries.quarantine({"limit": "100"}).entries if entry.id not in before]
    assert ids
    return msgspec.json.encode([running.queries.quarantined(each) for each in ids]).decode()


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
