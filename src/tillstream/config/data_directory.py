"""The data directory: its files, version, kind and locks."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog

from tillstream.config.files import read_versioned, replace_file
from tillstream.errors import DataDirectoryError

logger = structlog.get_logger()

VERSION = 1
"""Version of the directory's layout and of its log."""

LOCK_WAIT_S = 2.0
"""The maximum wait for a lock. After `tillstream up` is killed, its child processes need up to this time to end."""

FORMAT_FILE = "format.json"

MIGRATIONS: dict[int, Callable[[Path], None]] = {}
"""For each old version, a function that migrates a directory to the next version.

The format file gets the next version after the function returns. If the process dies earlier, the function runs again
at the next start.
"""


class Kind(StrEnum):
    """Whether the directory holds real receipts or the invented receipts of the demo."""

    REAL = "real"
    DEMO = "demo"


class _Format(msgspec.Struct):
    """The content of the file `format.json`."""

    version: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on the directory, held by a role such as ingest. It is released at the latest when the process ends."""

    descriptor: int

    def publish(self, address: str) -> None:
        """Write the process id and the URL of the role into the lock file."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n{address}\n".encode(), 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """The id and the URL of the process that holds a lock. The URL is empty until the process is ready."""

    pid: str
    address: str


@dataclass(frozen=True, slots=True)
class _File:
    """An attribute of `DataDirectory` whose value is the path of a file in the directory."""

    name: str

    def __get__(self, directory: DataDirectory, owner: type[DataDirectory]) -> Path:
        return directory.path / self.name


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """An open data directory of the current version."""

    path: Path
    kind: Kind

    log = _File("log.sqlite3")
    broker_marker = _File("log.rabbitmq")
    """An empty file. It exists if the log is stored by RabbitMQ."""

    database = _File("store.duckdb")
    new_database = _File("store.duckdb.new")
    """The database during a rebuild. When the rebuild is complete, it replaces the old database."""

    demo_loaded = _File("demo.loaded")
    """The date on which the demo last loaded the receipts of past days. The file exists after the first load."""

    store_list = _File("shops.json")
    """The list of stores, unless the setting `shops_file` names another file. `tillstream stores import` writes it."""

    reported_alerts = _File("alerts.json")
    """The active alerts that were posted to the webhook."""

    decisions = _File("decisions.ndjson")
    """The decisions about quarantine entries. The file exists after the first decision."""

    keys = _File("keys.json")
    """The API keys, unless the setting `keys_file` names another file."""

    password = _File("password.json")
    """The hash of the dashboard's password, if one is set."""

    sessions = _File("sessions.json")
    """The sessions of the dashboard."""

    machine_token = _File("machine.token")
    """A token with full access to ingest and the dashboard. Only the owner of the file can read it."""

    def lock(self, role: str) -> AbstractContextManager[Lock]:
        """Lock the directory for `role` (ingest, engine, up, stores) within the block.

        If another process still holds the lock after `LOCK_WAIT_S`, raises `DataDirectoryError` with its process id.
        """
        return locked(self.path, role)

    def holder(self, role: str) -> Holder | None:
        """Return the process that holds the lock of `role`, or None if the lock is free."""
        try:
            descriptor = os.open(self.path / f"{role}.lock", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(descriptor)
        finally:
            os.close(descriptor)
        return None


def open_directory(path: Path, kind: Kind | None = None, *, create: bool = True) -> DataDirectory:
    """Open the directory. A missing directory is created, and a directory of an older version is migrated.

    A new or empty directory gets the kind `kind`, or real if `kind` is None.

    Raises `DataDirectoryError` if the directory

    - is missing, and `create` is false,
    - has another kind than `kind`, unless `kind` is None,
    - has a version that is newer or no longer supported,
    - is not writable, or contains files of another program.
    """
    try:
        _make(path, create=create)
        with locked(path, "format", wait_s=math.inf):
            found = _read_format(path)
            if found is None:
                found = _Format(VERSION, kind or Kind.REAL)
                _write_format(path, found)
            elif found.version < VERSION:
                _migrate(path, found)
    except OSError as error:
        raise _refuse(path, error.strerror or error, "name another directory with --data") from error
    if kind is Kind.DEMO and found.kind is Kind.REAL:
        raise _refuse(path, "it contains real receipts", "name another directory for the demo with --data")
    if kind is Kind.REAL and found.kind is Kind.DEMO:
        raise _refuse(path, "it contains the invented receipts of a demo", "add --demo, or name another directory")
    return DataDirectory(path, found.kind)


def _make(path: Path, *, create: bool) -> None:
    if not path.exists() and not create:
        raise _refuse(path, "it does not exist", "name an existing directory with --data")
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise _refuse(path, f"its parent {path.parent} does not exist", f"try: mkdir -p {path.parent}") from None
    except FileExistsError:
        raise _refuse(path, "it is a file", "name a directory with --data") from None


def _read_format(path: Path) -> _Format | None:
    """Return the content of the format file, or None if the directory is empty."""
    remedy = f"restore its file {FORMAT_FILE}"
    found = read_versioned(path / FORMAT_FILE, _Format, VERSION, lambda _, *reason: _refuse(path, *reason), remedy)
    if found is None:
        foreign = [entry.name for entry in path.iterdir() if not _is_ignored(entry.name)]
        if foreign:
            raise _refuse(path, f"it contains {min(foreign)} but no {FORMAT_FILE}", "name a new or empty directory")
    return found


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.endswith((".lock", ".new")) or name == "lost+found"


def _write_format(path: Path, content: _Format) -> None:
    replace_file(path / FORMAT_FILE, msgspec.json.format(msgspec.json.encode(content), indent=0) + b"\n")


def _migrate(path: Path, found: _Format) -> None:
    with locked(path, "ingest"), locked(path, "engine"):
        while found.version < VERSION:
            step = MIGRATIONS.get(found.version)
            if step is None:
                because = f"its version is {found.version}, which is no longer supported"
                raise _refuse(path, because, "migrate it with an older tillstream first")
            step(path)
            found.version += 1
            _write_format(path, found)
            logger.info("data_directory.migrated", path=str(path), version=found.version)


@contextmanager
def locked(path: Path, role: str, *, wait_s: float | None = None) -> Iterator[Lock]:
    """Lock a directory for `role` within the block. `wait_s` is the maximum wait, by default `LOCK_WAIT_S`.

    If another process still holds the lock after this time, raises `DataDirectoryError` with its process id.
    """
    descriptor = os.open(path / f"{role}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _acquire(descriptor, LOCK_WAIT_S if wait_s is None else wait_s):
            pid = _read_holder(descriptor).pid
            raise _refuse(path, f"process {pid} already uses it ({role})", "stop that process first")
        lock = Lock(descriptor)
        lock.publish("")
        yield lock
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _read_holder(descriptor: int) -> Holder:
    pid, _, address = os.pread(descriptor, 4096, 0).decode().partition("\n")
    return Holder(pid, address.strip())


def _refuse(path: Path, because: object, hint: str) -> DataDirectoryError:
    return DataDirectoryError("use the data directory", path, because, hint)
