"""What came is shown as it came, but for the persons."""

from __future__ import annotations

from tests.support.pipeline import Pipeline, body
from tillstream.log.base import pack_place
from tillstream.views.originals import original


def test_given_a_receipt_when_its_original_is_asked_then_the_body_comes_without_the_persons(pipeline: Pipeline) -> None:
    pipeline.append_bytes(body(), b'{"agentID" : "Ann",\n"documentTotal": {"grossTotal": 1}}')
    pipeline.drain()
    [row] = pipeline.store.query("SELECT place FROM receipts")
    assert original(pipeline.log, row["place"]) == '{"agentID" : "•••",\n"documentTotal": {"grossTotal": 1}}'


def test_given_a_refusal_when_its_original_is_asked_then_it_is_what_was_refused(pipeline: Pipeline) -> None:
    pipeline.refuse(b"no receipt \xff", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    [row] = pipeline.store.query("SELECT place FROM quarantine")
    assert original(pipeline.log, row["place"]) == "no receipt \ufffd"


def test_given_a_place_that_the_log_has_not_when_asked_then_there_is_none(pipeline: Pipeline) -> None:
    assert original(pipeline.log, pack_place(0, 7, 0)) is None
