"""The answers that ingest writes are of the types that its OpenAPI document describes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tillstream.http.messages import Response
from tillstream.http.openapi import Errors
from tillstream.ingest import responses
from tillstream.ingest.schemas import Live, Outcome, Ready
from tillstream.receipt.model import Fault

FAULT = Fault("$.date", "it is missing", "a receipt needs it")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (responses.accepted("0" * 32, "2026-11-23"), Outcome),
        (responses.batch(1, [(1, [FAULT])], {"OPEN": 2}, parseable=True), Outcome),
        (responses.batch(0, [(0, [FAULT])], {}, parseable=True), Outcome),
        (responses.refused([FAULT], parseable=True), Errors),
        (responses.not_found("/x"), Errors),
        (responses.ready(""), Ready),
        (responses.ready("the log is full"), Ready),
        (responses.live(), Live),
    ],
)
def test_an_answer_has_the_fields_of_its_type_and_no_others(answer: Response, kind: type[Any]) -> None:
    typed = msgspec.json.decode(answer.body, type=kind)
    assert msgspec.json.decode(msgspec.json.encode(typed)) == msgspec.json.decode(answer.body)
