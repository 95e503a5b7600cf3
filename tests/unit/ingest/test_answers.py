"""The shapes of the answers."""

from __future__ import annotations

import json

from tillstream.ingest import answers
from tillstream.receipt import Fault

FAULT = Fault("$.storeID", "it is missing", "a receipt needs it")


def test_faults_are_told_with_path_error_and_hint() -> None:
    status, headers, body = answers.refused([FAULT], parseable=True)
    assert (status, headers) == (422, [("content-type", "application/json")])
    assert json.loads(body) == {"errors": [FAULT.as_dict()]}
    assert answers.refused([FAULT], parseable=False)[0] == 400


def test_a_batch_lists_its_rejected_ones_and_flattens_them_only_where_none_was_accepted() -> None:
    status, _, body = answers.batch(2, [(5, [FAULT])], parseable=True)
    assert (status, json.loads(body)) == (202, {"accepted": 2, "rejected": [{"index": 5, "errors": [FAULT.as_dict()]}]})
    status, _, body = answers.batch(0, [(5, [FAULT])], parseable=True)
    assert status == 422
    assert json.loads(body)["errors"] == [{**FAULT.as_dict(), "path": "$[5].storeID"}]
    assert answers.batch(0, [(0, [FAULT])], parseable=False)[0] == 400


def test_answers_that_leave_a_body_unread_close_the_connection() -> None:
    for _, headers, _ in (answers.body_too_late(10), answers.body_too_large(10)):
        assert ("connection", "close") in headers


def test_what_may_come_again_says_when() -> None:
    assert ("retry-after", "1") in answers.unavailable("the log is full")[1]
    assert answers.ready("the log is full")[0] == 503
