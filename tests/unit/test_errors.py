"""The message of an operational error names the action, its target, the cause and a hint."""

from __future__ import annotations

from tillstream.errors import LogFull, OperationalError, PortTaken


def test_the_message_names_action_target_cause_and_hint() -> None:
    error = PortTaken("listen on", "127.0.0.1:3000", "another program has it", "try --ingest-port 3001")
    assert str(error) == "could not listen on 127.0.0.1:3000: another program has it; try --ingest-port 3001"


def test_a_message_without_a_hint_ends_with_the_cause() -> None:
    assert str(LogFull("append to", "the log", OSError("disk full"))) == "could not append to the log: disk full"


def test_every_error_for_operators_is_operational() -> None:
    assert issubclass(LogFull, OperationalError)
