"""`tillstream import` of a large file into a running ingest: its memory, and receipts a second."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.baskets import Baskets
from benchmarks.contenders import TILLSTREAM, accepted, ingest
from benchmarks.harness import CannotRun, Plan
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure, Result
from benchmarks.written import NDJSON_TITLE, POSLOG_TITLE, WRITERS, Receipt
from tillstream.config.settings import Settings
from tillstream.formats import registry

TITLE = "import of a file of 500 MB"
TARGET_MIB = 300.0
FILE_BYTES = 500_000_000
QUICK_FILE_BYTES = 50_000_000
SUFFIXES = {NDJSON_TITLE: ".ndjson", POSLOG_TITLE: ".xml"}
POLL_S = 0.02


def run(plan: Plan) -> Result:
    known = {decoder.title for decoder in registry.load(Settings())}
    result = Result(bench="importing", title=TITLE)
    for title, suffix in SUFFIXES.items():
        if title not in known:
            continue
        with plan.scratch() as directory, ingest(directory) as url:
            path = directory / f"large{suffix}"
            count = _write(path, title, QUICK_FILE_BYTES if plan.quick else FILE_BYTES)
            seconds, peak_mib = _import(path, url, directory)
            if accepted(url) != count:
                raise CannotRun(f"{title}: ingest accepted {accepted(url)} of {count} receipts")
            megabytes = path.stat().st_size / 1e6
        plan.say(f"  {title}: {megabytes:.0f} MB, {count:,} receipts in {seconds:.1f} s, {peak_mib:.0f} MiB")
        note = f"{megabytes:.0f} MB, {count:,} receipts"
        result.runs[title] = {"receipts": count, "seconds": seconds, "peak_mib": peak_mib, "megabytes": megabytes}
        result.figures += [
            Figure(f"{title}: memory of the import at most", peak_mib, "MiB", "<", TARGET_MIB, note),
            Figure(f"{title}: receipts a second", count / seconds, "/s"),
        ]
    return result


def _write(path: Path, title: str, size: int) -> int:
    """A file of about that size; how many receipts it has."""
    written = count = 0

    def receipts() -> Iterator[Receipt]:
        nonlocal count
        baskets = Baskets(Tills(spread(today(), size // 1_500)))
        while written < size:
            count += 1
            yield baskets.receipt()

    with path.open("wb") as file:
        for part in WRITERS[title].parts(receipts()):
            written += file.write(part)
    return count


def _import(path: Path, url: str, directory: Path) -> tuple[float, float]:
    """Seconds from the command to its end, and the peak of its resident memory as the kernel has it."""
    command = [*TILLSTREAM, "import", path, "--to", url, "--state", directory / "state", "--quiet"]
    peak_kib = 0
    began = time.monotonic()
    with (directory / "import.out").open("w+") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            # A process that has just ended has no memory any more.
            found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
            peak_kib = max(peak_kib, int(found[1])) if found else peak_kib
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
        output.seek(0)
        if process.returncode:
            raise CannotRun(f"tillstream import: {output.read()[-500:]}")
    return seconds, peak_kib / 1024
