"""The shapes of the responses."""

from __future__ import annotations

import json

from msgspec import to_builtins

from tillstream.ingest import responses
from tillstream.receipt.model import Fault

FAULT = Fault("$.storeID", "it is missing", "a receipt needs it")


def test_faults_have_path_error_and_hint() -> None:
    status, headers, body, close = responses.refused([FAULT], parseable=True)
    assert (status, headers, close) == (422, b"content-type: application/json\r\n", False)
    assert json.loads(body) == {"errors": [to_builtins(FAULT)]}
    assert responses.refused([FAULT], parseable=False).status == 400


def test_a_batch_lists_its_rejected_ones_and_flattens_them_only_where_none_was_accepted() -> None:
    status, _, body, _ = responses.batch(2, [(5, [FAULT])], {}, parseable=True)
    assert (status, json.loads(body)) == (
        202,
        {"accepted": 2, "rejected": [{"index": 5, "errors": [to_builtins(FAULT)]}]},
    )
    status, _, body, _ = responses.batch(0, [(5, [FAULT])], {}, parseable=True)
    assert status == 422
    assert json.loads(body)["errors"] == [{**to_builtins(FAULT), "path": "$[5].storeID"}]
    assert responses.batch(0, [(0, [FAULT])], {}, parseable=False).status == 400


def test_answers_that_leave_a_body_unread_close_the_connection() -> None:
    assert responses.body_too_large(10).close


def test_responses_to_retry_have_a_retry_after_header() -> None:
    assert b"retry-after: 1\r\n" in responses.unavailable("the log is full").headers
    assert b"retry-after: 7\r\n" in responses.rate_limited("12", 5, 7).headers
    assert responses.ready("the log is full").status == 503
