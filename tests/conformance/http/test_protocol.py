"""Our server against the cases of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.http.app import app
from tests.conformance.http.cases import BODY_LIMIT_BYTES, CASES, HEADER_LIMIT_BYTES, TIMEOUT_MS, Case
from tests.conformance.http.client import run
from tests.inprocess.asgi import AsgiServer, asgi_server

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[AsgiServer]:
    with asgi_server(
        app,
        header_limit_bytes=HEADER_LIMIT_BYTES,
        body_limit_bytes=BODY_LIMIT_BYTES,
        header_timeout_ms=TIMEOUT_MS,
        body_timeout_ms=TIMEOUT_MS,
    ) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_the_server_does_what_the_rfc_asks_for(server: AsgiServer, case: Case) -> None:
    outcome = run(case, server.port, PATIENCE_S)
    assert outcome.text == case.expected, case.section
    if case.seen is not None:
        assert [body for body in outcome.bodies if body] == [case.seen] * case.expected.count("200")


def test_the_cases_have_names_of_their_own() -> None:
    assert len({(case.group, case.name) for case in CASES}) == len(CASES)
