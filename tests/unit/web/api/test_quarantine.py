"""Routes that list, count, replay and discard quarantine entries."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.inprocess.dashboard import DashboardClient, queries_of
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.quarantine.service import ENTRIES_LIMIT

DAY = "2026-11-23"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with closing(Pipeline(tmp_path, Settings(receipt_limit_bytes=10_000))) as pipeline:
        yield pipeline


@pytest.fixture
def ingest(pipeline: Pipeline) -> Iterator[Ingest]:
    with closing(Ingest(pipeline.path, pipeline.log, pipeline.clock)) as ingest:
        yield ingest


def refuse(pipeline: Pipeline, content: bytes, path: str = "$.date", error: str = "it is missing") -> str:
    pipeline.refuse(content, [{"path": path, "error": error, "hint": ""}])
    pipeline.drain()
    return str(queries_of(pipeline).quarantine().entries[0].id)


def post(client: DashboardClient, path: str, content: Any = None) -> httpx.Response:
    encoded = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
    return client.request(f"/api/v1/quarantine/{path}", "POST", {"content-type": "application/json"}, encoded)


def test_given_an_entry_when_replayed_then_the_response_has_the_outcome(pipeline: Pipeline, ingest: Ingest) -> None:
    client = DashboardClient(pipeline, ingest=f"http://127.0.0.1:{ingest.port}")
    entry = refuse(pipeline, json.dumps(body(cashReceiptID="7")).encode())
    taken = post(client, f"{entry}/replay")
    assert (taken.status_code, taken.json()["became"], taken.json()["day"]) == (200, "replayed", DAY)
    pipeline.drain()
    assert client.json(f"/api/v1/receipts/{taken.json()['key']}")["receipt"] == "7"
    assert client.json(f"/api/v1/quarantine/{entry}")["settled"]["key"] == taken.json()["key"]
    assert client.json("/api/v1/quarantine")["entries"] == []
    assert [each["id"] for each in client.json("/api/v1/quarantine", settled="1")["entries"]] == [entry]
    assert post(client, f"{entry}/discard").status_code == 409


def test_given_an_entry_when_an_edited_version_is_replayed_then_ingest_accepts_it(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    client = DashboardClient(pipeline, ingest=f"http://127.0.0.1:{ingest.port}")
    entry = refuse(pipeline, b"{")
    again = post(client, f"{entry}/replay")
    assert (again.status_code, again.json()["became"]) == (422, "refused")
    assert again.json()["errors"][0]["path"] == "$"
    edited = base64.b64encode(json.dumps(body()).encode()).decode()
    assert post(client, f"{entry}/replay", {"content": edited, "type": "json"}).status_code == 200


def test_given_no_ingest_when_replayed_then_the_response_has_the_time_to_retry(pipeline: Pipeline) -> None:
    entry = refuse(pipeline, b"{}")
    answer = post(DashboardClient(pipeline), f"{entry}/replay")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["error"]


def test_given_entries_when_discarded_then_the_response_has_the_outcome_of_each(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    first, second = refuse(pipeline, b"{"), refuse(pipeline, b"[")
    assert post(client, f"{first}/discard").json()["became"] == "discarded"
    both = post(client, "discard", {"entries": [first, second]})
    assert [each["became"] for each in both.json()["entries"]] == ["settled", "discarded"]
    counts = client.json("/api/v1/quarantine/counts", day=DAY)
    assert (counts["entries"], counts["discarded"], counts["replayed"]) == (2, 2, 0)


@pytest.mark.parametrize(
    ("path", "content", "status", "named"),
    [
        ("1/replay", {}, 404, "id"),
        ("1/discard", {}, 404, "id"),
        ("x/replay", {}, 400, "id"),
        ("1/replay", b"{", 400, "/api/v1/quarantine/1/replay"),
        ("1/replay", {"content": 1}, 400, "/api/v1/quarantine/1/replay"),
        ("1/discard", {"sure": True}, 400, "/api/v1/quarantine/1/discard"),
        ("discard", {}, 400, "/api/v1/quarantine/discard"),
        ("discard", {"entries": ["1"] * (ENTRIES_LIMIT + 1)}, 400, "entries"),
        ("1/replay", b" " * 20_000, 413, "/api/v1/quarantine/1/replay"),
    ],
)
def test_given_an_invalid_request_when_posted_then_the_refusal_names_the_invalid_part(
    pipeline: Pipeline, path: str, content: Any, status: int, named: str
) -> None:
    answer = post(DashboardClient(pipeline), path, content)
    assert answer.status_code == status
    assert [error["path"] for error in answer.json()["errors"]] == [named]


def test_given_another_media_type_when_posted_then_the_api_refuses_it(pipeline: Pipeline) -> None:
    answer = DashboardClient(pipeline).request(
        "/api/v1/quarantine/1/replay", "POST", {"sec-fetch-site": "same-origin"}, b"a=1"
    )
    assert answer.status_code == 415


def test_given_entries_when_listed_then_they_are_filtered_by_kind_reason_and_source(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    missing = refuse(pipeline, b"{}")
    number = refuse(pipeline, b"{}", "$.lines[3].quantity", 'expected a number, got "abc"')

    def ids(**filters: str) -> list[str]:
        return [each["id"] for each in client.json("/api/v1/quarantine", **filters)["entries"]]

    assert ids() == [number, missing]
    assert (
        ids(reason='got "ABC"') == ids(reason="lines[3]") == ids(reason="$.lines[].quantity not_a_number") == [number]
    )
    assert ids(reason="$.date missing") == [missing]
    assert ids(source="json/http", day=DAY, kind="refused", limit="1") == [number]
    assert ids(source="csv/http") == ids(kind="conflict") == ids(settled="1") == []
    refused = client.request("/api/v1/quarantine?settled=yes")
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "settled")


def test_given_entries_when_counted_then_the_highest_count_is_first_and_the_sums_agree(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    for _ in range(2):
        refuse(pipeline, b"{}")
    refuse(pipeline, b"{}", "$.lines[3].quantity", 'expected a number, got "abc"')
    pipeline.append(body())
    pipeline.append(body(documentTotal={"grossTotal": 9}), source="xml/http")
    pipeline.drain()
    counts = client.json("/api/v1/quarantine/counts", day=DAY)
    assert counts == client.json("/api/v1/quarantine/counts")
    assert (counts["day"], counts["entries"], counts["dropped"]) == (DAY, 4, 0)
    assert counts["by_kind"] == [{"kind": "refused", "entries": 3}, {"kind": "conflict", "entries": 1}]
    assert counts["by_source"] == [{"source": "json/http", "entries": 3}, {"source": "xml/http", "entries": 1}]
    assert [(each["path"], each["error"], each["entries"]) for each in counts["by_reason"]] == [
        ("$.date", "missing", 2),
        ("$", "conflict", 1),
        ("$.lines[].quantity", "not_a_number", 1),
    ]
    assert client.json("/api/v1/quarantine/counts", day="2026-11-22")["entries"] == 0


def test_given_a_conflict_when_read_then_both_versions_and_their_differences_are_shown(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    pipeline.append(body())
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    pipeline.drain()
    [entry] = client.json("/api/v1/quarantine")["entries"]
    conflict = client.json(f"/api/v1/quarantine/{entry['id']}")["conflict"]
    assert client.json(f"/api/v1/receipts/{conflict['first']['key']}")["gross"] == "5.00"
    assert '"grossTotal": 5.0' in conflict["first"]["original"]
    assert {each["path"]: (each["first"], each["second"]) for each in conflict["fields"] if each["differs"]} == {
        "$.documentTotal.grossTotal": ("5", "9"),
        "$.documentTotal.netTotal": ("4.64", None),
        "$.documentTotal.taxPayable": ("0.36", None),
    }


def test_given_anomalies_when_read_then_the_api_returns_the_results_of_the_queries(pipeline: Pipeline) -> None:
    pipeline.append(body(settlements=[{"settlementAmount": 1}]))
    pipeline.drain()
    client, queries = DashboardClient(pipeline), queries_of(pipeline)
    assert client.json("/api/v1/anomalies", kind="settlements_short") == msgspec.to_builtins(queries.anomalies())
    assert client.json("/api/v1/anomalies/counts", day=DAY) == msgspec.to_builtins(queries.anomaly_counts(DAY))
    assert client.request("/api/v1/anomalies?kind=x").status_code == 400


def test_given_the_openapi_document_then_it_describes_the_bodies_of_post_routes(pipeline: Pipeline) -> None:
    paths = DashboardClient(pipeline).json("/openapi.json")["paths"]
    replay = paths["/api/v1/quarantine/{entry}/replay"]["post"]
    assert replay["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Edit"}
    assert {"200", "403", "404", "409", "413", "415", "422", "503"} <= replay["responses"].keys()
    assert paths["/api/v1/quarantine/discard"]["post"]["requestBody"]["required"] is True
    assert msgspec.json.encode(paths).isascii()
