"""The tests of the protocol speak to the real ingest server."""

from tests.unit.ingest.conftest import ingest, start

__all__ = ["ingest", "start"]
