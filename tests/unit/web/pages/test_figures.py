"""Every metric has a page, also one that was declared a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.metrics.catalogue import catalogue

OWN = {
    "name": "largest_by_till",
    "help": "The largest receipt of each till",
    "source": "receipts",
    "keys": ["day", "store", "till"],
    "measures": [{"name": "largest", "fold": "max", "column": "gross"}, "receipts"],
}


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, metrics=catalogue([OWN]))
    pipeline.append(body(), body(cashReceiptID="2", terminalID="<b>", documentTotal={"grossTotal": 10}))
    pipeline.drain()
    yield pipeline
    pipeline.close()


def test_given_a_metric_of_ones_own_when_declared_then_it_is_listed_and_plotted(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    assert '<a href="/figures/largest_by_till">' in client.request("/figures").text
    page = client.request("/figures/largest_by_till").text
    assert "The largest receipt of each till" in page
    assert "€10.00" in page
    assert 'style="width:100%"' in page
    assert 'style="width:50%"' in page
    assert "&lt;b&gt;" in page


def test_given_every_metric_when_its_page_is_asked_for_then_it_is_there(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    assert {metric.name: client.request(f"/figures/{metric.name}").status_code for metric in pipeline.metrics} == {
        metric.name: 200 for metric in pipeline.metrics
    }


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/figures/nonsense", 404, "Metric not found"),
        ("/figures/sales?day=noon", 400, "This cannot be shown"),
        ("/figures/sales?day=2001-01-01", 200, "No data for this day."),
        ("/figures/largest_by_till?store=13", 200, "No data for this day."),
    ],
)
def test_given_a_question_without_an_answer_then_the_page_says_so(
    pipeline: Pipeline, path: str, status: int, said: str
) -> None:
    answer = DashboardClient(pipeline).request(path)
    assert answer.status_code == status
    assert said in answer.text
