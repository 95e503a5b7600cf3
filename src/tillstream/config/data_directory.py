"""The data directory: its files, version, kind and locks."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from tillstream.errors import DataDirectoryError

logger = structlog.get_logger()

VERSION = 1
"""Version of the directory's layout and of its log."""

LOCK_WAIT_S = 2.0
"""Longest wait for a lock that another process holds."""

FORMAT_FILE = "format.json"

Migration = Callable[[Path], None]

MIGRATIONS: dict[int, Migration] = {}
"""Migration steps by the version they start from; each leads to the next version.

A step that was interrupted runs again from its start, so it must handle its own half-done work. The version
changes atomically after the step returns.
"""


class Kind(StrEnum):
    """Whether the directory holds real receipts or those of the demo."""

    REAL = "real"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Lock:
    """A role's lock on the directory. The operating system releases it when the process ends."""

    descriptor: int

    def publish(self, address: str) -> None:
        """Publish the address that the role serves at to processes that find the lock held."""
        self._write(f"{os.getpid()}\n{address}\n")

    def _write(self, text: str) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lock: its process id, and its address, which is empty while it starts."""

    pid: str
    address: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """An open data directory of the current version."""

    path: Path
    kind: Kind

    @property
    def log(self) -> Path:
        return self.path / "log.sqlite3"

    @property
    def broker_marker(self) -> Path:
        """An empty file that marks a directory whose log is on a broker."""
        return self.path / "log.rabbitmq"

    @property
    def database(self) -> Path:
        return self.path / "store.duckdb"

    @property
    def new_database(self) -> Path:
        """The file of a database during a rebuild; it then replaces the old database."""
        return self.path / "store.duckdb.new"

    @property
    def demo_loaded(self) -> Path:
        """Holds the last day of the demo's history that is loaded."""
        return self.path / "demo.loaded"

    @property
    def store_list(self) -> Path:
        """The list of stores; absent until one is imported."""
        return self.path / "shops.json"

    @property
    def reported_alerts(self) -> Path:
        """The active alerts that the webhook was notified of."""
        return self.path / "alerts.json"

    @property
    def decisions(self) -> Path:
        """The decisions about quarantined entries; absent until there is one."""
        return self.path / "decisions.ndjson"

    @property
    def keys(self) -> Path:
        """The API keys, unless the setting `keys_file` names another file."""
        return self.path / "keys.json"

    @property
    def password(self) -> Path:
        """The hash of the dashboard's password; absent until one is set."""
        return self.path / "password.json"

    @property
    def sessions(self) -> Path:
        """The sessions of the dashboard."""
        return self.path / "sessions.json"

    @property
    def machine_token(self) -> Path:
        """A token that gives access to both ports to users who can read this directory."""
        return self.path / "machine.token"

    @contextmanager
    def lock(self, role: str) -> Iterator[Lock]:
        """Lock the directory for `role` (ingest, engine, up, stores) within the block.

        Raises `DataDirectoryError`, which names the process that holds the lock.
        """
        with locked(self.path, role) as lock:
            yield lock

    def holder(self, role: str) -> Holder | None:
        """The process that holds the lock of `role`; None if it is free."""
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


def open_directory(
    path: Path,
    kind: Kind | None = None,
    *,
    create: bool = True,
    version: int = VERSION,
    migrations: Mapping[int, Migration] | None = None,
) -> DataDirectory:
    """Open the directory: create it if it is missing (as `kind`, by default real), or migrate an older one.

    Raises `DataDirectoryError` if the directory has a newer version or another kind than `kind`, is not writable,
    holds foreign files, or is missing while `create` is false.
    """
    try:
        _make(path, create=create)
        with locked(path, "format", wait=True):
            found = _read_format(path)
            if found is None:
                found = {"version": version, "kind": str(kind or Kind.REAL)}
                _write_format(path, found)
            _migrate(path, found, version, MIGRATIONS if migrations is None else migrations)
    except OSError as error:
        raise _refuse(path, error.strerror or error, "name another with --data") from error
    return DataDirectory(path, _check_kind(path, Kind(found["kind"]), kind))


def _make(path: Path, *, create: bool) -> None:
    if not path.exists() and not create:
        raise _refuse(path, "there is no such directory", "name the one to read with --data")
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise _refuse(path, f"its parent {path.parent} does not exist", f"try: mkdir -p {path.parent}") from None
    except FileExistsError:
        raise _refuse(path, "it is a file", "name a directory with --data") from None


def _read_format(path: Path) -> dict[str, Any] | None:
    """The content of the format file; None in an empty directory."""
    file = path / FORMAT_FILE
    if not file.exists():
        others = [entry.name for entry in path.iterdir() if not _negligible(entry.name)]
        if others:
            raise _refuse(path, f"it holds {min(others)} but no {FORMAT_FILE}", "name a new or empty directory")
        return None
    try:
        found = json.loads(file.read_bytes())
        Kind(found["kind"])
        return {"version": int(found["version"]), "kind": found["kind"]}
    except (ValueError, TypeError, KeyError) as error:
        raise _refuse(path, f"its {FORMAT_FILE} is not readable ({error})", "restore that file") from error


def _negligible(name: str) -> bool:
    return name.startswith(".") or name.endswith((".lock", ".new")) or name == "lost+found"


def _write_format(path: Path, content: Mapping[str, Any]) -> None:
    replace_file(path / FORMAT_FILE, json.dumps(content).encode() + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably: a crash leaves either the old or the new content."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        _fill(file, content)
    _put(fresh, path)


def replace_secret(path: Path, content: bytes) -> None:
    """Replace a file that only its owner may read; an existing file keeps its mode and owner."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        _keep_owner(file.fileno(), path)
        _fill(file, content)
    _put(fresh, path)


def _keep_owner(descriptor: int, path: Path) -> None:
    if path.exists():
        os.fchmod(descriptor, path.stat().st_mode & 0o660)
    if os.geteuid() == 0:
        # An administrator may write a file that a service reads as another user.
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _fill(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _put(fresh: Path, path: Path) -> None:
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _migrate(path: Path, found: dict[str, Any], version: int, migrations: Mapping[int, Migration]) -> None:
    if found["version"] > version:
        raise _refuse(
            path,
            f"its version is {found['version']}, and this tillstream reads versions up to {version}",
            "install a newer tillstream",
        )
    if found["version"] == version:
        return
    with locked(path, "ingest"), locked(path, "engine"):
        while found["version"] < version:
            start = found["version"]
            if start not in migrations:
                raise _refuse(path, f"its version is {start}, which is no longer supported", "migrate it in steps")
            migrations[start](path)
            found["version"] = start + 1
            _write_format(path, found)
            logger.info("data_directory.migrated", path=str(path), version=found["version"])


def _check_kind(path: Path, found: Kind, wanted: Kind | None) -> Kind:
    if wanted is Kind.DEMO and found is Kind.REAL:
        raise _refuse(path, "it holds real receipts, and the demo would add invented ones", "name another with --data")
    if wanted is Kind.REAL and found is Kind.DEMO:
        raise _refuse(path, "it holds the invented receipts of a demo", "add --demo, or name another with --data")
    return found


@contextmanager
def locked(path: Path, role: str, *, wait: bool = False) -> Iterator[Lock]:
    """Lock a directory for `role` within the block; with `wait`, wait for the lock without a limit.

    Raises `DataDirectoryError`, which names the process that holds the lock.
    """
    descriptor = os.open(path / f"{role}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if wait:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        elif not _try_lock(descriptor):
            pid = _read_holder(descriptor).pid
            raise _refuse(path, f"process {pid} already uses it ({role})", "stop that process first")
        lock = Lock(descriptor)
        lock.publish("")
        yield lock
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Acquire the lock; wait briefly, because roles whose supervisor was killed end a moment later."""
    deadline = time.monotonic() + LOCK_WAIT_S
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
    pid, _, rest = os.pread(descriptor, 4096, 0).decode().partition("\n")
    return Holder(pid, rest.strip())


def _refuse(path: Path, because: object, hint: str) -> DataDirectoryError:
    return DataDirectoryError("use the data directory", path, because, hint)
