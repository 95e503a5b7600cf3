"""An operational error is one sentence that a person can act on."""

from __future__ import annotations

from tillstream.errors import LogFull, OperationalError, PortTaken


def test_it_says_what_was_done_to_what_why_and_what_to_try() -> None:
    error = PortTaken("listen on", "127.0.0.1:3000", "another program has it", "try --ingest-port 3001")
    assert str(error) == "could not listen on 127.0.0.1:3000: another program has it; try --ingest-port 3001"


def test_without_a_hint_it_ends_with_the_cause() -> None:
    assert str(LogFull("append to", "the log", OSError("disk full"))) == "could not append to the log: disk full"


def test_every_kind_is_operational() -> None:
    assert issubclass(LogFull, OperationalError)
