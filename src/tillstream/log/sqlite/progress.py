"""The engine's progress: two small files beside the log that the engine writes and ingest reads."""

from __future__ import annotations

from pathlib import Path

import structlog

from tillstream.config.files import replace_file
from tillstream.errors import LogUnavailable
from tillstream.log.base import START, Position

_logger = structlog.get_logger()


class Progress:
    """The committed position, in `engine.position`, and the prepared position, in `engine.reach`.

    The prepared position never goes back, and is durable before the engine relies on it. The
    committed position may be lost in a crash: the engine publishes it again when it starts.
    """

    def __init__(self, directory: Path) -> None:
        self._committed_path = directory / "engine.position"
        self._prepared_path = directory / "engine.reach"
        self._published: int | None = None

    def committed(self) -> int:
        return _read(self._committed_path)

    def prepared(self) -> int:
        return max(_read(self._prepared_path), self.committed())

    def publish(self, position: Position, *, committed: bool) -> None:
        """Raises `LogUnavailable`."""
        if self._published is None:
            self._published = _read(self._prepared_path)
        content = str(position).encode()
        path = self._prepared_path
        try:
            if position.offsets[0] > self._published:
                replace_file(path, content)
                self._published = position.offsets[0]
            if committed:
                path = self._committed_path
                # This position may be lost, so it needs no sync.
                new = path.with_name(f"{path.name}.new")
                new.write_bytes(content)
                new.replace(path)
        except OSError as error:
            reason, hint = error.strerror or error, "the engine must be able to write there"
            raise LogUnavailable("publish a position in", path, reason, hint) from error


def _read(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii")
        # A crash of the machine may leave the file empty, as it is replaced without a sync.
        return Position.parse(text).offsets[0] if text else START.offsets[0]
    except FileNotFoundError:
        return START.offsets[0]
    except (ValueError, OSError) as error:
        _logger.error("log.engine_position_unreadable", file=str(path), error=str(error))
        return START.offsets[0]
