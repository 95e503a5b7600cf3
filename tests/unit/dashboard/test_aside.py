"""What was set aside, as pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dashboard import Answers
from tests.support.pipeline import Pipeline


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_given_a_refusal_when_shown_then_it_says_why_and_what_came(pipeline: Pipeline) -> None:
    pipeline.refuse(b'{"storeID"', [{"path": "$.date", "error": "it is missing", "hint": "a receipt needs it"}])
    pipeline.drain()
    answers = Answers(pipeline)
    entry = answers.json("/api/v1/quarantine")["entries"][0]["id"]
    assert f'href="/quarantine/{entry}"' in answers.ask("/quarantine").text
    page = answers.ask(f"/quarantine/{entry}?lang=fr").text
    for said in ("$.date", "it is missing", "a receipt needs it", "{&quot;storeID&quot;", "refusé"):
        assert said in page, said


@pytest.mark.parametrize(
    ("path", "status"),
    [("/quarantine?kind=refused&limit=0", 400), ("/quarantine/x", 400), ("/quarantine/1", 404)],
)
def test_given_what_cannot_be_shown_when_asked_then_a_page_says_so(pipeline: Pipeline, path: str, status: int) -> None:
    answer = Answers(pipeline).ask(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
