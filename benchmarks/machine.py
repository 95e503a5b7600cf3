"""What the figures were measured on: processor, memory, disk, kernel, versions."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = (
    "granian",
    "duckdb",
    "msgspec",
    "pyarrow",
    "backports.zstd",
    "uvloop",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "pika",
)
SERVICE_LIBRARIES = ("psycopg", "asyncpg")
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def describe(directory: Path) -> dict[str, str]:
    """One line each, in the order in which they are shown; `directory` is where the data goes."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "disk": f"{file_system(directory)} on {directory}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("tillstream", *LIBRARIES, *SERVICE_LIBRARIES)},
        "wrk": _first_line("wrk", "--version"),
    }


def file_system(directory: Path) -> str:
    """The kind of the file system that holds the directory: figures of one in memory would mean nothing."""
    mounts = psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if directory.resolve().is_relative_to(mount.mountpoint)]
    return max(holding, key=lambda mount: len(mount.mountpoint)).fstype if holding else "unknown"


def load() -> float:
    """Processes that wanted a core in the last minute; well above 0 before a run means a noisy machine."""
    return os.getloadavg()[0]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "missing"
    # wrk tells its version with exit code 1.
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).partition("\n")[0].partition("Copyright")[0].strip()
