"""The base classes of errors, and the errors that several packages raise."""

from __future__ import annotations


class TillstreamError(Exception):
    """The base class of all errors that tillstream raises."""


class OperationalError(TillstreamError):
    """The environment prevents an operation, and an operator can fix it.

    The message is `could not {doing} {target}: {because}; {hint}`. `doing` says what was attempted, such as "read the
    settings file". `target` is the object of this action, such as a path or an address. `because` is the cause, and
    `hint` says what may help.
    """

    def __init__(self, doing: str, target: object, because: object, hint: str = "") -> None:
        self.doing, self.target, self.because, self.hint = doing, str(target), str(because), hint
        super().__init__(doing, self.target, self.because, hint)

    def __str__(self) -> str:
        message = f"could not {self.doing} {self.target}: {self.because}"
        return f"{message}; {self.hint}" if self.hint else message


class SettingsError(OperationalError):
    """The settings file cannot be read, or a setting is unknown, invalid or unusable."""


class DataDirectoryError(OperationalError):
    """The data directory cannot be used, for example because another process uses it or its version is newer."""


class PortTaken(OperationalError):
    """Another program is already listening on the port."""


class LogUnavailable(OperationalError):
    """The log currently cannot append or return records.

    Records that the log did not append are not acknowledged, so the sender can send them again.
    """


class LogFull(LogUnavailable):
    """The log has reached its size limit, or its disk is full."""


class DatabaseUnavailable(OperationalError):
    """The database cannot be opened, read or written."""


class PositionConflict(DatabaseUnavailable):
    """Another engine has committed to the database, so a commit starts from a log position that is outdated."""


class IngestUnavailable(OperationalError):
    """Ingest cannot be used now: it is not running, is still starting, or accepts no receipts."""


class StoreListError(OperationalError):
    """The list of stores cannot be read, imported or saved."""


class AccessError(OperationalError):
    """API keys, the password or the TLS files cannot be used, or are required but missing."""


class UnknownMetric(TillstreamError):
    """The catalogue has no metric with the requested name."""


class BadQuery(TillstreamError):
    """A query has an invalid parameter, such as a day, a filter, a cursor or a limit.

    `path` is the name of the parameter, `error` describes the fault, and `hint` describes valid values.
    """

    def __init__(self, path: str, error: str, hint: str = "") -> None:
        self.path, self.error, self.hint = path, error, hint
        super().__init__(path, error, hint)

    def __str__(self) -> str:
        message = f"{self.path}: {self.error}"
        return f"{message}; {self.hint}" if self.hint else message


class CatalogueError(SettingsError):
    """The declaration of a metric is not valid, or two metrics have the same name."""


class FormatError(OperationalError):
    """A format that an installed package provides cannot be loaded."""
