"""The page to type a receipt on, over the real ingest: what it has, what it sends, and what people are told."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode

import msgspec
import pytest

from tests.inprocess.ingest import Ingest
from tests.support.ingest import JSON, Answer, encoded
from tillstream.http.messages import Response
from tillstream.ingest import form_page
from tillstream.receipt.model import Fault

FORM = "application/x-www-form-urlencoded"
BROWSER = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8")

TYPED = {
    "storeID": "12",
    "cashReceiptID": "1047",
    "date": "2026-11-23T10:15",
    "lines[0].productCode": "0102",
    "lines[0].settlementAmount": "2,40",
    "lines[2].settlementAmount": "1.20",
    "documentTotal.grossTotal": "3,60",
    "documentTotal.netTotal": "",
}


class Read(HTMLParser):
    """What a page has: its inputs by name, what it loads, and its text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(answer.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "input":
            self.inputs[str(given["name"])] = given
        self.loaded += [str(given[name]) for name in ("src", "href") if tag in ("script", "link") and name in given]
        assert not any(name.startswith("on") or name == "style" for name in given)

    def handle_data(self, data: str) -> None:
        self.text += data


def send(ingest: Ingest, fields: dict[str, str], *headers: tuple[str, str]) -> Answer:
    return ingest.post("/receipt", urlencode(fields).encode(), FORM, *headers)


def test_the_page_has_a_form_and_loads_everything_from_here(ingest: Ingest) -> None:
    answer = ingest.request("GET", "/receipt")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Read(answer)
    assert {"storeID", "cashReceiptID", "date", "documentTotal.grossTotal", "lines[2].quantity"} <= page.inputs.keys()
    assert "settlements[1].settlementAmount" in page.inputs
    for path in set(page.loaded) - {"data:,"}:
        assert path.startswith("/receipt/")
        loaded = ingest.request("GET", path)
        assert loaded.status == 200
        assert loaded.headers["content-type"] in ("text/css", "text/javascript")
    assert ingest.request("HEAD", "/receipt").headers["content-length"] == answer.headers["content-length"]


def test_what_is_typed_is_taken_and_a_browser_is_told_so(ingest: Ingest) -> None:
    answer = send(ingest, TYPED, BROWSER, ("origin", "http://test"))
    (record,) = ingest.records()
    assert answer.status == 202
    assert answer.headers["content-type"].startswith("text/html")
    text = Read(answer).text
    assert "Taken" in text
    assert "2026-11-23" in text
    assert record["key"] in text
    assert record["source"] == "form/http"
    assert record["original"] == urlencode(TYPED).encode()
    assert [line["settlementAmount"] for line in msgspec.json.decode(record["body"])["lines"]] == [2.4, 1.2]


def test_a_program_is_answered_in_json(ingest: Ingest) -> None:
    assert send(ingest, TYPED).json["accepted"] == 1
    assert send(ingest, TYPED, ("accept", "*/*")).json["accepted"] == 1
    assert ingest.post("/receipt", encoded(), JSON, BROWSER).json["accepted"] == 1


def test_every_fault_is_told_by_its_field_and_what_was_typed_stays(ingest: Ingest) -> None:
    wrong = TYPED | {"lines[2].settlementAmount": 'a"<b>', "date": "monday", "storeID": "<i>&"}
    del wrong["cashReceiptID"]
    answer = send(ingest, wrong, BROWSER)
    page = Read(answer)
    assert answer.status == 422
    assert "Receipt number: it is missing" in page.text
    assert "Date and time: expected a date and time" in page.text
    assert 'Line 2, gross: expected a number, got "a\\"<b>"' in page.text
    assert page.inputs["storeID"]["value"] == "<i>&"
    assert page.inputs["lines[1].settlementAmount"]["value"] == 'a"<b>'
    assert "aria-invalid" in page.inputs["lines[1].settlementAmount"]
    assert "aria-invalid" not in page.inputs["lines[0].settlementAmount"]
    assert "b" not in page.tags
    assert ingest.records()[0]["kind"] == "refusal"


def test_what_cannot_be_decoded_is_told_too(ingest: Ingest) -> None:
    answer = ingest.post("/receipt", b"storeID=%zz&lines[a].b=1&x=\xff", FORM, BROWSER)
    assert answer.status == 422
    assert "Not taken" in Read(answer).text or "not taken" in Read(answer).text
    many = send(ingest, {f"lines[{index}].quantity": "1" for index in range(6_000)}, BROWSER)
    assert many.status == 422
    assert len(Read(many).inputs) < 3_000


@pytest.mark.parametrize(
    "header", [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "http://evil.example")]
)
def test_a_form_that_another_page_sent_is_refused(ingest: Ingest, header: tuple[str, str]) -> None:
    answer = send(ingest, TYPED, header)
    assert answer.status == 403
    assert answer.json["errors"][0]["error"] == "a page of another address sent this"
    shown = send(ingest, TYPED, header, BROWSER)
    assert shown.status == 403
    assert "a page of another address sent this" in Read(shown).text
    assert ingest.post("/receipts", urlencode(TYPED).encode(), FORM, header).status == 403
    assert ingest.request("POST", "/receipt", encoded(), header).status == 403
    assert ingest.post("/receipt", encoded(), JSON, header).status == 202
    assert len(ingest.records()) == 1


def test_other_headers_of_an_answer_stay(ingest: Ingest) -> None:
    answer = form_page.as_page(Response(503, b"content-type: x\r\nretry-after: 1\r\n", b"{}"), b"")
    assert b"retry-after: 1\r\n" in answer.headers
    assert b"content-type: x" not in answer.headers
    errors = msgspec.json.encode({"errors": [Fault("$.<x>", "<y>", "<z>")]})
    body = form_page.as_page(Response(422, b"", errors), b"<x>=1").body
    assert b"<x>" not in body
    assert b"&lt;y&gt;" in body
