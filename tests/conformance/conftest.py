"""What holds for every backend."""

from __future__ import annotations

from tests.inprocess.rabbitmq_timeouts import long_broker_timeouts

__all__ = ["long_broker_timeouts"]
