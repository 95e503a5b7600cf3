"""A private PostgreSQL server: a new cluster with default settings and fsync on, on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import BenchmarkError
from tests.support.free_ports import free_port

OWNER = "postgres"
"""The user that runs the server if the bench runs as root, because PostgreSQL does not start as root."""

DEBIAN = Path("/usr/lib/postgresql")


class Cluster:
    """A PostgreSQL cluster. Its server runs only during a `running` block and does not slow other runs down."""

    def __init__(self, directory: Path) -> None:
        self._programs = _programs()
        self._home = directory / "postgresql"
        self._data = self._home / "data"
        self._home.mkdir()
        if os.geteuid() == 0:
            directory.chmod(0o755)
            shutil.chown(self._home, OWNER, OWNER)
        self._run("initdb", "--pgdata", self._data, "--username", OWNER, "--auth", "trust", "--encoding", "UTF8")
        self.port = free_port()

    @property
    def url(self) -> str:
        """The libpq URL of the server's Unix socket."""
        return f"postgresql://{OWNER}@/postgres?host={self._home}&port={self.port}"

    @property
    def version(self) -> str:
        return self._run("postgres", "--version")

    @contextmanager
    def running(self) -> Iterator[None]:
        options = f"-p {self.port} -k {self._home} -c listen_addresses="
        output = self._home / "server.log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--options", options, "--log", output)
        try:
            yield
        finally:
            self._run("pg_ctl", "stop", "--wait", "--pgdata", self._data, "--mode", "fast")

    def _run(self, program: str, *arguments: object) -> str:
        command = [str(self._programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", OWNER, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise BenchmarkError(f"{program} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout.strip()


def _programs() -> Path:
    """The folder of PostgreSQL's programs: of Debian's newest version, or of the one on PATH."""
    found = sorted(DEBIAN.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        raise BenchmarkError("PostgreSQL is missing: apt-get install postgresql")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(OWNER)
        except KeyError:
            raise BenchmarkError(f"PostgreSQL needs a user {OWNER}, who does not exist") from None
    return found[-1].parent if found else Path(str(on_path)).parent
