"""How far the engine has come: two small files beside the log, written by the engine and read by ingest."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from tillstream.errors import LogUnavailable
from tillstream.log.base import START, Position

_logger = structlog.get_logger()


class Progress:
    """What the engine has committed, in `engine.position`, and how far it may have come, in `engine.reach`.

    The reach is durable before it is relied on, and never sinks. What is committed follows from the
    store, which tells it again at every start: it is replaced without waiting for the disk.
    """

    def __init__(self, directory: Path) -> None:
        self._position_path = directory / "engine.position"
        self._reach_path = directory / "engine.reach"
        self._told: int | None = None

    def committed(self) -> int:
        return _read(self._position_path)

    def reach(self) -> int:
        return max(_read(self._reach_path), self.committed())

    def tell(self, position: Position, *, committed: bool) -> None:
        """Raises `LogUnavailable`."""
        if self._told is None:
            self._told = _read(self._reach_path)
        if position.offsets[0] > self._told:
            _replace(self._reach_path, position, durable=True)
            self._told = position.offsets[0]
        if committed:
            _replace(self._position_path, position, durable=False)


def _read(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii")
        # A crash of the machine may leave a file empty that was replaced without a sync.
        return Position.parse(text).offsets[0] if text else START.offsets[0]
    except FileNotFoundError:
        return START.offsets[0]
    except (ValueError, OSError) as error:
        _logger.error("engine_position_unreadable", file=str(path), error=str(error))
        return START.offsets[0]


def _replace(path: Path, position: Position, *, durable: bool) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(str(position))
            file.flush()
            if durable:
                os.fsync(file.fileno())
        fresh.replace(path)
        if durable:
            _sync_directory(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise LogUnavailable("publish a position in", path, reason, "the engine must be able to write there") from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
