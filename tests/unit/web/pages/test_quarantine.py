"""What was set aside, as pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body

FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with closing(Pipeline(tmp_path)) as pipeline:
        yield pipeline


@pytest.fixture
def ingest(pipeline: Pipeline) -> Iterator[Ingest]:
    with closing(Ingest(pipeline.path, pipeline.log, pipeline.clock)) as ingest:
        yield ingest


def ids(client: DashboardClient, **filters: str) -> list[str]:
    return [each["id"] for each in client.json("/api/v1/quarantine", **filters)["entries"]]


def test_given_a_refusal_when_shown_then_it_says_why_and_what_came(pipeline: Pipeline) -> None:
    pipeline.refuse(b'{"storeID"', [{"path": "$.date", "error": "it is missing", "hint": "a receipt needs it"}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    entry = client.json("/api/v1/quarantine")["entries"][0]["id"]
    assert f'href="/quarantine/{entry}"' in client.request("/quarantine").text
    page = client.request(f"/quarantine/{entry}?lang=fr").text
    for said in ("$.date", "it is missing", "a receipt needs it", "{&#34;storeID&#34;", "refusé"):
        assert said in page, said


@pytest.mark.parametrize(
    ("path", "status"),
    [("/quarantine?kind=refused&limit=0", 400), ("/quarantine/x", 400), ("/quarantine/1", 404)],
)
def test_given_what_cannot_be_shown_when_asked_then_a_page_says_so(pipeline: Pipeline, path: str, status: int) -> None:
    answer = DashboardClient(pipeline).request(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


def test_given_entries_when_listed_then_the_page_says_what_and_who_sends_most_and_links_there(
    pipeline: Pipeline,
) -> None:
    for path in ("$.lines[0].quantity", "$.lines[7].quantity", "$.date"):
        pipeline.refuse(b"x", [{"path": path, "error": "it is missing", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    page = client.request("/quarantine").text
    links = re.findall(r'<li><a href="([^"]+)"><b>(\d+)</b>', page)
    assert [number for _, number in links] == ["2", "1", "3"]
    first = client.request(unescape(links[0][0])).text
    assert first.count('type="checkbox"') == 2
    assert "$.lines[].quantity" in page
    assert "json/http" in page


def test_given_chosen_entries_when_replayed_then_the_page_says_what_became_of_each(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    pipeline.refuse(json.dumps(body()).encode(), [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.refuse(b"{<b>", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline, ingest=f"http://127.0.0.1:{ingest.port}")
    bad, good = ids(client)
    page = client.request("/quarantine/replay", "POST", FORM, f"entry={good}&entry={bad}&type=".encode())
    assert page.status_code == 200
    assert ("replayed" in page.text, "refused again" in page.text) == (True, True)
    pipeline.drain()
    key = re.search(r"/receipts/([0-9a-f]{32})", page.text)
    assert key is not None
    assert client.json(f"/api/v1/receipts/{key[1]}")["gross"] == "5.00"
    assert ids(client) == [bad]
    settled = client.request(f"/quarantine/{good}").text
    assert key[0] in settled
    assert "<button" not in settled
    assert f"/quarantine/{good}" in client.request("/quarantine?settled=1").text


def test_given_an_entry_when_discarded_then_it_leaves_the_list(pipeline: Pipeline) -> None:
    pipeline.refuse(b"{", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    [entry] = ids(client)
    assert 'formaction="/quarantine/discard"' in client.request(f"/quarantine/{entry}").text
    page = client.request("/quarantine/discard?lang=fr", "POST", FORM, f"entry={entry}".encode())
    assert "écarté" in page.text
    assert ids(client) == []


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        (b"", 200, "No entry selected."),
        (b"entry=1", 200, "there is no entry 1"),
        (b"entry=x", 503, "expected the id of an entry"),
        (b"a" * 100_000, 413, "the body has more than"),
    ],
)
def test_given_a_form_with_nothing_to_settle_when_posted_then_it_says_so(
    pipeline: Pipeline, form: bytes, status: int, said: str
) -> None:
    answer = DashboardClient(pipeline).request("/quarantine/discard", "POST", FORM, form)
    assert (answer.status_code, said in answer.text) == (status, True)


def test_given_no_ingest_when_replayed_from_the_page_then_it_says_so_and_nothing_is_lost(pipeline: Pipeline) -> None:
    pipeline.refuse(b"{}", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    [entry] = ids(client)
    answer = client.request("/quarantine/replay", "POST", FORM, f"entry={entry}".encode())
    assert (answer.status_code, "could not reach ingest" in answer.text) == (503, True)
    assert ids(client) == [entry]


def test_given_a_conflict_when_shown_then_both_versions_stand_side_by_side_and_it_cannot_be_replayed_as_it_is(
    pipeline: Pipeline,
) -> None:
    pipeline.append(body())
    pipeline.append(body(documentTotal={"grossTotal": 9, "netTotal": 4.64, "taxPayable": 0.36}))
    pipeline.drain()
    client = DashboardClient(pipeline)
    [entry] = ids(client, kind="conflict")
    page = client.request(f"/quarantine/{entry}").text
    assert page.count('different">') == 4
    assert re.search(
        r'<td class="text different">5</td><td class="text different">9</td><td class="different">≠ differs</td>', page
    )
    assert 'href="/receipts/' in page
    assert ">Replay<" not in page
    assert 'formaction="/quarantine/discard"' in page
