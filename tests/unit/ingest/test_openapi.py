"""What ingest says about itself agrees with what it does, and needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.inprocess.ingest import Ingest
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.http.messages import Response
from tillstream.http.openapi import Errors
from tillstream.ingest import responses
from tillstream.ingest.openapi import Live, Outcome, Ready, operations
from tillstream.receipt.model import Fault, Receipt
from tillstream.receipt.validation import ID_LIMIT, ITEMS_LIMIT


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    ingest = Ingest(Path(tmp_path_factory.mktemp("data")))
    yield ingest
    ingest.close()


def test_every_operation_described_is_one_that_is_served(ingest: Ingest) -> None:
    described = ingest.request("GET", "/openapi.json").json
    assert described["openapi"] == "3.0.3"
    for path, methods in described["paths"].items():
        for method in methods:
            assert ingest.request(method.upper(), path, b"").status not in (404, 405, 500)


def test_every_operation_served_is_described(ingest: Ingest) -> None:
    described = ingest.request("GET", "/openapi.json").json
    for operation in operations(registry.load(Settings())):
        assert operation.method in described["paths"][operation.path]
    taken = described["paths"]["/receipts"]["post"]["requestBody"]["content"]
    assert {"application/json", "application/x-ndjson"} <= taken.keys()


def test_what_needs_a_key_is_described_so(ingest: Ingest) -> None:
    described = ingest.request("GET", "/openapi.json").json
    schemes = {name: scheme["type"] for name, scheme in described["components"]["securitySchemes"].items()}
    assert schemes == {"bearer": "http", "header": "apiKey"}
    guarded = {path for path, each in described["paths"].items() if "security" in next(iter(each.values()))}
    assert guarded == {"/receipt", "/receipts", "/metrics"}


def test_the_receipts_fields_are_those_of_the_type(ingest: Ingest) -> None:
    schema = ingest.request("GET", "/openapi.json").json["components"]["schemas"]["Receipt"]
    assert schema["properties"].keys() == set(Receipt.__struct_fields__)
    assert schema["required"] == [field.name for field in msgspec.structs.fields(Receipt) if field.required]


def test_amounts_are_described_as_numbers_or_texts_between_their_limits(ingest: Ingest) -> None:
    schemas = ingest.request("GET", "/openapi.json").json["components"]["schemas"]
    number, text = schemas["DocumentTotal"]["properties"]["grossTotal"]["oneOf"]
    assert number == {"type": "number", "minimum": -(10**13 - 1), "maximum": 10**13 - 1}
    assert re.fullmatch(text["pattern"], "-12.50")


def test_what_may_be_null_is_said_as_openapi_3_0_says_it(ingest: Ingest) -> None:
    description = ingest.request("GET", "/openapi.json")
    assert b'"null"' not in description.body
    receipt = description.json["components"]["schemas"]["Receipt"]["properties"]
    assert receipt["lines"]["nullable"]
    assert receipt["agentID"]["anyOf"][0]["nullable"]
    assert "nullable" not in receipt["documentTotal"]


def test_what_validation_asks_is_described(ingest: Ingest) -> None:
    receipt = ingest.request("GET", "/openapi.json").json["components"]["schemas"]["Receipt"]["properties"]
    assert receipt["currency"]["enum"] == ["EUR", "", None]
    assert receipt["storeID"]["anyOf"][0]["maxLength"] == ID_LIMIT
    assert receipt["lines"]["maxItems"] == ITEMS_LIMIT
    assert receipt["date"]["format"] == "date-time-local"


def test_every_format_but_json_is_a_text_with_an_example(ingest: Ingest) -> None:
    content = ingest.request("GET", "/openapi.json").json["paths"]["/receipt"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Receipt"}
    assert content["text/csv"]["schema"]["type"] == "string"
    assert "cashReceiptID" in content["text/csv"]["example"]
    assert not any(media_type.startswith("+") for media_type in content)


def test_every_answer_has_a_body_of_a_known_shape(ingest: Ingest) -> None:
    answers = ingest.request("GET", "/openapi.json").json["paths"]["/receipts"]["post"]["responses"]
    for status, answer in answers.items():
        schema = answer["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{'Outcome' if status == '202' else 'Errors'}"}
    assert {status for status, answer in answers.items() if "headers" in answer} == {"429", "503"}


def test_the_page_loads_everything_from_here(ingest: Ingest) -> None:
    page = ingest.request("GET", "/docs").body.decode()
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        assert path.startswith("/docs/")
        answer = ingest.request("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] in ("text/css", "text/javascript")
        assert len(answer.body) > 50


FAULT = Fault("$.date", "it is missing", "a receipt needs it")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (responses.accepted("0" * 32, "2026-11-23"), Outcome),
        (responses.batch(1, [(1, [FAULT])], {"OPEN": 2}, parseable=True), Outcome),
        (responses.batch(0, [(0, [FAULT])], {}, parseable=True), Outcome),
        (responses.refused([FAULT], parseable=True), Errors),
        (responses.not_found("/x"), Errors),
        (responses.ready(""), Ready),
        (responses.ready("the log is full"), Ready),
        (responses.live(), Live),
    ],
)
def test_an_answer_has_the_fields_of_its_type_and_no_others(answer: Response, kind: type[Any]) -> None:
    typed = msgspec.json.decode(answer.body, type=kind)
    assert msgspec.json.decode(msgspec.json.encode(typed)) == msgspec.json.decode(answer.body)
