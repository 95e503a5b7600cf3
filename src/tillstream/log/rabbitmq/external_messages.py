"""What others publish to `receipts`: decoded and validated like what comes over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from tillstream.clock import Clock
from tillstream.log.rabbitmq.messages import Record
from tillstream.receipt.model import Fault
from tillstream.receipt.validation import ReceiptError, Validator

SOURCE = "json/amqp"
_TOLD = 2_000
"""Characters of a message's properties that quarantine shows."""


class ExternalMessages:
    """Makes a record of a message that ingest did not publish: a receipt, or a refusal.

    Its head is computed anew, and the time at which it was received is when it is first read here:
    whatever the message says of either is not believed.
    """

    def __init__(self, validator: Validator, clock: Clock) -> None:
        self._validator = validator
        self._clock = clock

    def record(self, method: Any, properties: Any, body: bytes) -> Record:
        received_us = self._clock.now_us()
        try:
            head, _, _ = self._validator.check(body, received_us, SOURCE)
        except ReceiptError as error:
            faults = [*error.faults, Fault("amqp", _origin(method, properties))]
            head, kept = self._validator.refusal(faults, body, received_us, SOURCE)
            return Record(head, b"", kept)
        return Record(head, body, b"")


def _origin(method: Any, properties: Any) -> str:
    """Where the message came from, for those who look for its sender."""
    named = {name: value for name, value in vars(properties).items() if value is not None}
    headers = named.pop("headers", None) or {}
    told = {name: value for name, value in headers.items() if name != "x-stream-offset"}
    shown = msgspec.json.encode(named | ({"headers": told} if told else {}), enc_hook=str).decode()[:_TOLD]
    return f"published to exchange {method.exchange!r} with routing key {method.routing_key!r}, properties {shown}"
