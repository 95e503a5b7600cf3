"""The error tree. An operational error names the action, its target, the cause and what to try."""

from __future__ import annotations


class TillstreamError(Exception):
    """Base of every error that tillstream raises on purpose."""


class OperationalError(TillstreamError):
    """The environment prevents an operation, and an operator can fix it.

    ``doing`` is a verb phrase ("open the log"), ``target`` is its object (a path, an address),
    ``because`` is the cause in plain words and ``hint`` is what to try.
    """

    def __init__(self, doing: str, target: object, because: object, hint: str = "") -> None:
        self.doing = doing
        self.target = str(target)
        self.because = str(because)
        self.hint = hint
        super().__init__(doing, str(target), str(because), hint)

    def __str__(self) -> str:
        message = f"could not {self.doing} {self.target}: {self.because}"
        return f"{message}; {self.hint}" if self.hint else message


class SettingsError(OperationalError):
    """A setting is unknown, of the wrong type or out of its range."""


class DataDirectoryError(OperationalError):
    """The data directory is in use, of a newer version, or of another kind."""


class PortTaken(OperationalError):
    """Another program already listens on the port."""


class LogUnavailable(OperationalError):
    """The log cannot append or return records now. Nothing was acknowledged, so a retry is safe."""


class LogFull(LogUnavailable):
    """The log has reached its size limit, or its disk is full."""


class DatabaseUnavailable(OperationalError):
    """The database cannot be opened, read or written."""


class PositionConflict(DatabaseUnavailable):
    """A commit started from a position that another writer has already moved."""


class IngestUnavailable(OperationalError):
    """Ingest is not running, or accepts nothing now."""


class StoreListError(OperationalError):
    """The list of stores cannot be read, imported or saved."""


class AccessError(OperationalError):
    """API keys, the password or TLS files are missing where they are required, or unusable."""


class UnknownMetric(TillstreamError):
    """The catalogue has no metric of the requested name."""


class BadQuery(TillstreamError):
    """A query has an invalid parameter: a day, filter, cursor or limit.

    ``path`` names the parameter, ``error`` says what is wrong with it and ``hint`` what is valid.
    """

    def __init__(self, path: str, error: str, hint: str = "") -> None:
        self.path = path
        self.error = error
        self.hint = hint
        super().__init__(path, error, hint)

    def __str__(self) -> str:
        message = f"{self.path}: {self.error}"
        return f"{message}; {self.hint}" if self.hint else message


class CatalogueError(SettingsError):
    """A metric's declaration contradicts itself or names an unknown key, source or column."""


class FormatError(OperationalError):
    """A format of another package cannot be used."""
