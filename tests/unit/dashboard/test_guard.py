"""The dashboard's port only reads, and its pages load nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dashboard import Answers
from tests.support.pipeline import Pipeline


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    pipeline = Pipeline(tmp_path)
    yield Answers(pipeline)
    pipeline.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/v1/summary", "/_dash-update-component"])
def test_given_a_method_that_writes_when_asked_then_it_is_refused(answers: Answers, method: str, path: str) -> None:
    answer = answers.ask(path, method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["errors"][0]["hint"] == "this port only reads"


@pytest.mark.parametrize("path", ["/", "/api/v1/summary", "/receipts", "/nope", "/docs"])
def test_given_any_answer_when_read_then_it_allows_no_script_but_its_own_files(answers: Answers, path: str) -> None:
    headers = answers.ask(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"


def test_given_a_file_with_its_version_in_the_name_when_read_then_browsers_may_keep_it(answers: Answers) -> None:
    page = answers.ask("/").text
    renderer = next(part for part in page.split('"') if "dash_renderer.v" in part)
    answer = answers.ask(renderer)
    assert (answer.status_code, "max-age" in answer.headers["cache-control"]) == (200, True)
