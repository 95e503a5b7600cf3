"""The error tree. An operational error says what was being done, to what, why it failed and what to try."""

from __future__ import annotations


class TillstreamError(Exception):
    """Base of every error that tillstream raises on purpose."""


class OperationalError(TillstreamError):
    """Something outside the program stands in the way; a person can mend it.

    ``doing`` is a verb phrase ("open the log"), ``target`` what it was done to (a path, an
    address), ``because`` the cause in plain words and ``hint`` what to try.
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
    """Another program listens on the port already."""


class LogUnavailable(OperationalError):
    """The log cannot take or give records now. Nothing was acknowledged; trying again is safe."""


class LogFull(LogUnavailable):
    """The log has no room left: its disk or its limit is full."""


class DatabaseUnavailable(OperationalError):
    """The database cannot be opened, read or written."""


class PositionConflict(DatabaseUnavailable):
    """A commit named a position that is not the database's own: another writer was there first."""


class IngestUnavailable(OperationalError):
    """Ingest doesn't run, or takes nothing now."""


class StoreListError(OperationalError):
    """The list of shops cannot be read, taken or kept."""


class AccessError(OperationalError):
    """Keys, the password or TLS are missing where they are needed, or cannot be used as they are."""


class UnknownMetric(TillstreamError):
    """A metric was asked for that the catalogue doesn't have."""


class BadQuery(TillstreamError):
    """A reader asked for something that doesn't exist: a wrong day, filter, cursor or limit.

    ``path`` names the parameter, ``error`` what is wrong with it and ``hint`` what would be right.
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
