"""What ingest says about itself agrees with what it does, and needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.ingest import Ingest
from tillstream.ingest.openapi import OPERATIONS
from tillstream.receipt import Receipt


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    ingest = Ingest(Path(tmp_path_factory.mktemp("data")))
    yield ingest
    ingest.close()


def test_every_operation_described_is_one_that_is_served(ingest: Ingest) -> None:
    described = ingest.request("GET", "/openapi.json").json
    assert described["openapi"] == "3.0.3"
    for path, operations in described["paths"].items():
        (method,) = operations
        assert ingest.request(method.upper(), path, b"").status not in (404, 405, 500)


def test_every_operation_served_is_described(ingest: Ingest) -> None:
    described = ingest.request("GET", "/openapi.json").json
    assert described["paths"].keys() == OPERATIONS.keys()
    taken = described["paths"]["/receipts"]["post"]["requestBody"]["content"]
    assert {"application/json", "application/x-ndjson"} <= taken.keys()


def test_the_receipts_fields_are_those_of_the_type(ingest: Ingest) -> None:
    schema = ingest.request("GET", "/openapi.json").json["components"]["schemas"]["Receipt"]
    assert schema["properties"].keys() == set(Receipt.__struct_fields__)
    assert schema["required"] == [field.name for field in msgspec.structs.fields(Receipt) if field.required]


def test_amounts_are_described_as_numbers_or_texts(ingest: Ingest) -> None:
    schemas = ingest.request("GET", "/openapi.json").json["components"]["schemas"]
    assert schemas["DocumentTotal"]["properties"]["grossTotal"]["oneOf"][0] == {"type": "number"}


def test_the_page_loads_everything_from_here(ingest: Ingest) -> None:
    page = ingest.request("GET", "/docs").body.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        assert path.startswith("/docs/")
        answer = ingest.request("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] in ("text/css", "text/javascript")
        assert len(answer.body) > 50
