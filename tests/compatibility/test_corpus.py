"""Inputs of every format have the recorded answers and log records."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compatibility.corpus import NAMES, RECORDED, Ingest, ingest, inputs, without_prose


@pytest.fixture(scope="module")
def fresh_ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    with ingest(tmp_path_factory.mktemp("corpus") / "data") as running:
        yield running


def test_every_format_has_recorded_results() -> None:
    assert NAMES == ["csv", "form", "http", "json", "ndjson", "poslog", "records", "square", "xml"]


@pytest.mark.parametrize("name", NAMES)
def test_answers_and_log_records_equal_the_recorded_ones(fresh_ingest: Ingest, name: str) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_bytes())
    assert [each["name"] for each in inputs(name)] == list(recorded)
    differing = {}
    for each in inputs(name):
        result, expected = (without_prose(one) for one in (fresh_ingest.result(each), recorded[each["name"]]))
        if result != expected:
            differing[each["name"]] = {part: (result[part], expected[part]) for part in result}
    shown = json.dumps(dict(list(differing.items())[:3]), indent=1, ensure_ascii=False)
    assert not differing, f"{len(differing)} differ (now, recorded): {shown}"
