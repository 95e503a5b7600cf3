"""The API returns the results of the queries. All refusals have the same structure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import convert, to_builtins

from tests.inprocess.dashboard import DashboardClient, queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.overview.answers import Overview
from tillstream.stores.model import Store
from tillstream.web.api.tables import PANELS, as_csv
from tillstream.web.live import feed


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    pipeline.append(body(), body(cashReceiptID="2", storeID="13"), body(cashReceiptID="3", date="2017-11-18 20:39:32"))
    pipeline.refuse(b'{"storeID"', [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    yield pipeline
    pipeline.close()


@pytest.fixture
def client(pipeline: Pipeline) -> DashboardClient:
    return DashboardClient(pipeline)


def test_given_receipts_when_the_api_is_read_then_it_returns_the_results_of_the_queries(
    pipeline: Pipeline, client: DashboardClient
) -> None:
    queries = queries_of(pipeline)
    assert client.json("/api/v1/summary") == to_builtins(queries.summary())
    assert client.json("/api/v1/summary", day="2017-11-18") == to_builtins(queries.summary("2017-11-18"))
    assert client.json("/api/v1/snapshot") == to_builtins(queries.snapshot())
    assert client.json("/api/v1/metrics") == {"metrics": to_builtins(queries.catalogue())}
    rows = queries.metric("sales_by_store", {"store": "13"})
    assert client.json("/api/v1/metrics/sales_by_store", store="13") == to_builtins(rows)
    assert client.json("/api/v1/receipts", limit="1") == to_builtins(queries.receipts({"limit": "1"}))
    assert client.json("/api/v1/quarantine") == to_builtins(queries.quarantine())
    assert client.json("/api/v1/stores") == {"stores": to_builtins(queries.stores())}
    assert client.json("/api/v1/faults") == {"faults": []}
    assert client.json("/api/v1/alerts") == {"alerts": [], "more": 0}


def test_given_a_receipt_and_an_entry_when_read_by_their_ids_then_they_have_all_details(
    client: DashboardClient,
) -> None:
    key = client.json("/api/v1/receipts", store="13")["receipts"][0]["key"]
    assert client.json(f"/api/v1/receipts/{key}")["receipt"] == "2"
    entry = client.json("/api/v1/quarantine")["entries"][0]["id"]
    assert client.json(f"/api/v1/quarantine/{entry}")["original"] == '{"storeID"'


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/api/v1/summary?day=yesterday", 400, "day"),
        ("/api/v1/summary?dya=2026-11-23", 400, "dya"),
        ("/api/v1/summary?day=2026-11-23&day=2026-11-24", 400, "day"),
        ("/api/v1/metrics?x=1", 400, "x"),
        ("/api/v1/stores?id=12", 400, "id"),
        ("/api/v1/stores.csv?id=12", 400, "id"),
        ("/api/v1/alerts?rule=refunds", 400, "rule"),
        ("/api/v1/metrics/nope", 404, "name"),
        ("/api/v1/metrics/nope.csv", 404, "name"),
        ("/api/v1/metrics/sales?store=13", 400, "store"),
        ("/api/v1/metrics/sales_by_store_and_hour?hour=noon", 400, "hour"),
        ("/api/v1/receipts?limit=1001", 400, "limit"),
        ("/api/v1/receipts?min=NaN", 400, "min"),
        ("/api/v1/receipts?cursor=x", 400, "cursor"),
        ("/api/v1/receipts/abc", 400, "key"),
        (f"/api/v1/receipts/{'0' * 32}", 404, "key"),
        ("/api/v1/quarantine?store=1", 400, "store"),
        ("/api/v1/quarantine/x", 400, "id"),
        ("/api/v1/quarantine/1", 404, "id"),
        ("/api/v1/overview?dya=1", 400, "dya"),
        ("/api/v1/overview?day=x", 400, "day"),
        ("/api/v1/overview?till=1", 400, "till"),
        ("/api/v1/overview/nope.csv", 404, "panel"),
        ("/api/v1/overview/pace.csv?vs=x", 400, "vs"),
        ("/api/v1/nope", 404, "/api/v1/nope"),
        ("/nope", 404, "/nope"),
    ],
)
def test_given_an_invalid_request_when_sent_then_the_refusal_names_the_invalid_part(
    client: DashboardClient, path: str, status: int, named: str
) -> None:
    answer = client.request(path)
    assert answer.status_code == status
    errors = answer.json()["errors"]
    assert [error["path"] for error in errors] == [named]
    assert all(set(error) == {"path", "error", "hint"} and error["error"] for error in errors)


def test_given_a_closed_database_when_read_then_the_response_is_503_with_the_time_to_retry(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    client = DashboardClient(pipeline)
    pipeline.close()
    answer = client.request("/api/v1/summary")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["error"]


def test_given_a_metric_when_read_as_csv_then_its_rows_equal_the_json_rows(client: DashboardClient) -> None:
    answer = client.request("/api/v1/metrics/sales_by_store.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="sales_by_store-2026-11-23.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = client.json("/api/v1/metrics/sales_by_store")["rows"]
    assert rows == [{name: str(value) for name, value in row.items()} for row in expected]


def test_given_a_list_of_shops_when_read_as_csv_then_names_follow_the_ids(
    pipeline: Pipeline, client: DashboardClient
) -> None:
    pipeline.set_shops(Store("12", "Paris Opéra", "Paris", tills=3))
    tills = client.request("/api/v1/metrics/sales_by_till.csv")
    assert tills.text.splitlines()[1].startswith("2026-11-23,12,Paris Opéra,3,")
    stores = client.request("/api/v1/stores.csv")
    assert stores.headers["content-disposition"] == 'attachment; filename="stores.csv"'
    assert stores.text.splitlines() == [
        "id,name,city,region,zone,tills,hours,listed",
        "12,Paris Opéra,Paris,,,3,,true",
        "13,13,,,,0,,false",
    ]


def test_given_a_store_and_a_day_when_the_overview_is_read_then_it_shows_them(client: DashboardClient) -> None:
    overview = client.json("/api/v1/overview", store="12", day="2026-11-23")
    assert (overview["scope"]["kind"], overview["from"], overview["to"]) == ("store", "2026-11-23", "2026-11-23")
    assert overview["tiles"]["revenue"]["value"] == "5.00"


@pytest.mark.parametrize("panel", PANELS)
def test_given_a_panel_when_read_as_csv_then_its_rows_equal_the_rows_of_the_overview(
    client: DashboardClient, panel: str
) -> None:
    answer = client.request(f"/api/v1/overview/{panel}.csv", store="12")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{panel}-2026-11-23.csv"'
    columns, rows = PANELS[panel]
    expected = [
        [row[name] for name in columns] for row in rows(convert(client.json("/api/v1/overview", store="12"), Overview))
    ]
    read = list(csv.reader(io.StringIO(answer.text)))
    shown = {None: "", True: "true", False: "false"}
    written = [
        [shown[cell] if cell is None or isinstance(cell, bool) else str(cell) for cell in row] for row in expected
    ]
    assert read == [list(columns), *written]


def test_given_a_text_that_looks_like_a_formula_when_written_as_csv_then_it_is_quoted() -> None:
    rows = [{"name": "=HYPERLINK(1)", "amount": "-3.20"}, {"name": 'Pain, "long"', "amount": "1.00"}]
    assert as_csv(["name", "amount"], rows) == 'name,amount\r\n\'=HYPERLINK(1),-3.20\r\n"Pain, ""long""",1.00\r\n'


def test_given_the_maximum_number_of_viewers_when_another_connects_then_it_must_retry_later(
    client: DashboardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "VIEWER_LIMIT", 0)
    answer = client.request("/api/v1/live")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["errors"] == [
        {"path": "", "error": "the live feed has reached its viewer limit", "hint": "try again in 10 s"}
    ]


def test_given_the_openapi_document_when_read_then_it_describes_every_route_and_parameter(
    client: DashboardClient,
) -> None:
    description = client.json("/openapi.json")
    assert description["openapi"].startswith("3.0.")
    paths = description["paths"]
    for path in (
        "summary",
        "metrics",
        "metrics/{name}",
        "stores",
        "receipts",
        "receipts/{key}",
        "quarantine",
        "alerts",
        "live",
        "snapshot",
        "overview",
        "overview/{panel}.csv",
    ):
        assert paths[f"/api/v1/{path}"]["get"]["description"]
    named = {parameter["name"] for parameter in paths["/api/v1/receipts"]["get"]["parameters"]}
    assert named == {
        *("day", "store", "till", "receipt", "from", "to", "min", "max", "anomaly", "arrived", "cursor", "limit")
    }
    keys = {parameter["name"] for parameter in paths["/api/v1/metrics/{name}"]["get"]["parameters"]}
    assert {"name", "day", "category", "mechanism", "rate"} <= keys


def test_given_an_alert_when_read_then_it_has_the_fields_of_the_documented_example(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(alert_quarantine_per_hour=1))
    pipeline.refuse(b"x", [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    answer = client.json("/api/v1/alerts")
    described = client.json("/openapi.json")["paths"]["/api/v1/alerts"]["get"]["responses"]["200"]
    example = described["content"]["application/json"]["example"]
    assert answer == {
        "alerts": [
            {
                "rule": "quarantine",
                "level": "warn",
                "since": "2026-11-23T12:00:00",
                "subject": "",
                "title": "",
                "values": {"entries": 1},
                "link": "/quarantine",
            }
        ],
        "more": 0,
    }
    assert answer.keys() == example.keys()
    assert answer["alerts"][0].keys() == example["alerts"][0].keys()
    pipeline.close()
